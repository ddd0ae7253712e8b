"""Signatures of what is no file system by itself: RAID members, LVM, encryption, caches, swap.

Layouts are those that libblkid (util-linux) and each format's own documentation give.
"""

from __future__ import annotations

import struct
import zlib

from converters.volumes.base import Content
from converters.volumes.window import Window, clean, format_uuid

_MD_MAGIC = b"\xfc\x4e\x2b\xa9"
_MD_RESERVED = 64 << 10
_SECTOR = 512

_LVM_CRC_START = 0xF597A6CF
"""Initial value of LVM's CRC-32 (lvm2, lib/misc/crc.c)."""
_LVM_GROUPS = (6, 4, 4, 4, 4, 4, 6)

_LUKS_FIRST = b"LUKS\xba\xbe"
_LUKS_SECOND = b"SKUL\xba\xbe"
_LUKS_SECOND_OFFSETS = tuple(0x4000 << shift for shift in range(9))
"""16 KiB to 4 MiB (LUKS2 On-Disk Format Specification, "LUKS2 Secondary Header Offset")."""

_BCACHE_MAGIC = bytes.fromhex("c68573f64e1a45ca8265f57f48ba6d81")
_PAGE_SIZES = (4096, 8192, 16384, 65536)
_SUSPEND_MAGICS = (b"S1SUSPEND\0", b"S2SUSPEND\0", b"ULSUSPEND\0", b"LINHIB0001")
_VMFS_VOLUME = 1 << 20


def linux_raid(window: Window) -> Content | None:
    """A member of a Linux software RAID: metadata 0.90, 1.0, 1.1 or 1.2 (md(4))."""
    old = (window.size & -_MD_RESERVED) - _MD_RESERVED
    for order in ("<", ">"):
        header = window.read(old, 64)
        if len(header) == 64 and header[:4] == (_MD_MAGIC if order == "<" else _MD_MAGIC[::-1]):
            words = struct.unpack(f"{order}16I", header)
            if words[1] == 0 and words[2] == 90:
                set_uuid = struct.pack(">4I", words[5], *words[13:16])
                return Content("linux_raid_member", format_uuid(set_uuid))
    sectors = window.size // _SECTOR
    for offset in (((sectors - 16) & -8) * _SECTOR, 0, 4096):
        placed = window.little(offset + 144, 8) * _SECTOR == offset
        if window.has(offset, _MD_MAGIC) and window.little(offset + 4, 4) == 1 and placed:
            return Content("linux_raid_member", window.uuid(offset + 16), window.text(offset + 32, 32))
    return None


def bcache(window: Window) -> Content | None:
    """A cached or caching device of bcache."""
    if window.has(0x1018, _BCACHE_MAGIC) and window.little(0x1008, 8) * _SECTOR == 0x1000:
        return Content("bcache", window.uuid(0x1028))
    return None


def lvm(window: Window) -> Content | None:
    """A physical volume of LVM2: a label in one of the first four sectors."""
    for sector in range(4):
        label = window.read(sector * _SECTOR, _SECTOR)
        if not label.startswith(b"LABELONE") or label[24:32] != b"LVM2 001" or len(label) < _SECTOR:
            continue
        checksum, offset = struct.unpack_from("<II", label, 16)
        # LVM's CRC is zlib's without the inversions at both ends.
        computed = zlib.crc32(label[20:], _LVM_CRC_START ^ 0xFFFFFFFF) ^ 0xFFFFFFFF
        if struct.unpack_from("<Q", label, 8)[0] != sector or checksum != computed or offset > _SECTOR - 32:
            continue
        identifier = label[offset : offset + 32].decode("ascii", "backslashreplace")
        groups, position = [], 0
        for length in _LVM_GROUPS:
            groups.append(identifier[position : position + length])
            position += length
        return Content("LVM2_member", "-".join(groups))
    return None


def luks(window: Window) -> Content | None:
    """An encrypted volume, LUKS1 or LUKS2."""
    if not window.has(0, _LUKS_FIRST) or window.big(6, 2) not in (1, 2):
        return None
    label = window.text(24, 48) if window.big(6, 2) == 2 else ""
    return Content("crypto_LUKS", window.text(168, 40), label)


def luks_second(window: Window) -> Content | None:
    """A LUKS2 volume whose first header is damaged, by its second.

    Also what a new file system leaves behind, so it counts only where nothing else is found.
    """
    for offset in _LUKS_SECOND_OFFSETS:
        if window.has(offset, _LUKS_SECOND) and window.big(offset + 256, 8) == offset:
            return Content("crypto_LUKS", window.text(offset + 168, 40), window.text(offset + 24, 48))
    return None


def swap(window: Window) -> Content | None:
    """Swap space (mkswap(8)), or a suspended machine's memory in it."""
    for page in _PAGE_SIZES:
        magic = window.read(page - 10, 10)
        if magic in _SUSPEND_MAGICS:
            return Content("swsuspend", window.uuid(1036), window.text(1052, 16))
        if magic == b"SWAP-SPACE":
            return Content("swap")
        if magic == b"SWAPSPACE2" and 1 in (window.little(1024, 4), window.big(1024, 4)):
            return Content("swap", window.uuid(1036), window.text(1052, 16))
    return None


def vmfs_volume(window: Window) -> Content | None:
    """An extent of a VMFS datastore."""
    if not window.has(_VMFS_VOLUME, b"\x0d\xd0\x01\xc0"):
        return None
    return Content("VMFS_volume_member", clean(window.read(_VMFS_VOLUME + _SECTOR + 20, 35)))
