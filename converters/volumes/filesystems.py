"""Signatures of file systems, with UUID and label as blkid(8) writes them.

Offsets are from each format's own description: ext4 and XFS in Linux's Documentation/filesystems, the others
in their kernel headers.
"""

from __future__ import annotations

from converters.volumes.base import Content
from converters.volumes.window import Window, clean

_EXT = 1024
_EXT_HAS_JOURNAL = 0x4
_EXT_JOURNAL_DEVICE = 0x8
_EXT3_INCOMPATIBLE = 0x2 | 0x4 | 0x10
"""Directory types, recovery, meta block groups: what ext3 knows; ext2 knows them without recovery."""
_EXT2_INCOMPATIBLE = 0x2 | 0x10
_EXT3_READ_ONLY = 0x1 | 0x2 | 0x4

_BTRFS = 64 << 10
_ISO = 32 << 10
_JFS = 32 << 10
_REISERFS = (64 << 10, 8 << 10)
_REISERFS_MAGICS = (b"ReIsErFs", b"ReIsEr2Fs", b"ReIsEr3Fs")
_F2FS = 1024
_VMFS = 2 << 20
_NTFS_VOLUME_RECORD = 3
_NTFS_VOLUME_NAME = 0x60


def ext(window: Window) -> Content | None:
    """ext2, ext3 and ext4, told apart by their features; or a journal on a device of its own."""
    if not window.has(_EXT + 56, b"\x53\xef"):
        return None
    compatible, incompatible, read_only = (window.little(_EXT + offset, 4) for offset in (92, 96, 100))
    identity = (window.uuid(_EXT + 104), window.text(_EXT + 120, 16))
    if incompatible & _EXT_JOURNAL_DEVICE:
        return Content("jbd", *identity)
    if incompatible & ~_EXT3_INCOMPATIBLE or read_only & ~_EXT3_READ_ONLY:
        return Content("ext4", *identity)
    if compatible & _EXT_HAS_JOURNAL:
        return Content("ext3", *identity)
    return Content("ext4" if incompatible & ~_EXT2_INCOMPATIBLE else "ext2", *identity)


def xfs(window: Window) -> Content | None:
    """XFS, version 4 or 5."""
    if not window.has(0, b"XFSB") or not 512 <= window.big(4, 4) <= 65536:
        return None
    return Content("xfs", window.uuid(32), window.text(108, 12))


def xfs_log(window: Window) -> Content | None:
    """The log of an XFS on a device of its own."""
    if window.has(0, b"\xfe\xed\xba\xbe") and window.big(8, 4) in (1, 2):
        return Content("xfs_external_log")
    return None


def btrfs(window: Window) -> Content | None:
    """btrfs; the UUID is that of the file system, which all its devices share."""
    if not window.has(_BTRFS + 64, b"_BHRfS_M"):
        return None
    return Content("btrfs", window.uuid(_BTRFS + 32), window.text(_BTRFS + 299, 256))


def ntfs(window: Window) -> Content | None:
    """NTFS; the label is in record 3 of the master file table."""
    if not window.has(3, b"NTFS    "):
        return None
    serial = f"{window.little(0x48, 8):016X}"
    sectors = window.little(0x0D, 1)
    cluster = window.little(0x0B, 2) * (sectors if sectors <= 0x80 else 1 << (256 - sectors))
    record = int.from_bytes(window.read(0x40, 1), "little", signed=True)
    size = min(record * cluster if record > 0 else 1 << -record, 64 << 10)
    return Content("ntfs", serial, _ntfs_label(window, window.little(0x30, 8) * cluster, size))


def _ntfs_label(window: Window, table: int, size: int) -> str:
    record = window.read(table + _NTFS_VOLUME_RECORD * size, size)
    if not record.startswith(b"FILE"):
        return ""
    position = int.from_bytes(record[20:22], "little")
    while position + 24 <= len(record):
        kind, length = (int.from_bytes(record[position + o : position + o + 4], "little") for o in (0, 4))
        if kind == _NTFS_VOLUME_NAME:
            count = int.from_bytes(record[position + 16 : position + 20], "little")
            start = position + int.from_bytes(record[position + 20 : position + 22], "little")
            return clean(record[start : start + count], "utf-16-le")
        if kind > _NTFS_VOLUME_NAME or not length:
            break
        position += length
    return ""


def exfat(window: Window) -> Content | None:
    """exFAT; its label is not looked up."""
    if not window.has(3, b"EXFAT   "):
        return None
    serial = window.read(100, 4)[::-1].hex().upper()
    return Content("exfat", f"{serial[:4]}-{serial[4:]}")


def squashfs(window: Window) -> Content | None:
    """squashfs of version 4, or an older one."""
    if window.has(0, b"hsqs"):
        return Content("squashfs" if window.little(28, 2) >= 4 else "squashfs3")
    return Content("squashfs3") if window.has(0, b"sqsh") else None


def iso9660(window: Window) -> Content | None:
    """A CD image; its time of change, or else of making, stands for a UUID."""
    if not window.has(_ISO + 1, b"CD001"):
        return None
    for offset in (_ISO + 830, _ISO + 813):
        date = window.read(offset, 16)
        if len(date) == 16 and date.strip(b"0\0 ") and date.isdigit():
            text = date.decode("ascii")
            parts = (text[:4], *(text[position : position + 2] for position in range(4, 16, 2)))
            return Content("iso9660", "-".join(parts), window.text(_ISO + 40, 32))
    return Content("iso9660", "", window.text(_ISO + 40, 32))


def reiserfs(window: Window) -> Content | None:
    """reiserfs 3.5 and 3.6."""
    for start in _REISERFS:
        magic = window.read(start + 52, 9)
        if magic.startswith(_REISERFS_MAGICS):
            if magic.startswith(_REISERFS_MAGICS[0]):
                return Content("reiserfs")
            return Content("reiserfs", window.uuid(start + 84), window.text(start + 100, 16))
    return None


def jfs(window: Window) -> Content | None:
    """JFS of OS/2 and Linux."""
    if not window.has(_JFS, b"JFS1"):
        return None
    return Content("jfs", window.uuid(_JFS + 136), window.text(_JFS + 152, 16))


def f2fs(window: Window) -> Content | None:
    """F2FS."""
    if not window.has(_F2FS, b"\x10\x20\xf5\xf2"):
        return None
    return Content("f2fs", window.uuid(_F2FS + 108), window.text(_F2FS + 124, 1024, "utf-16-le"))


def vmfs(window: Window) -> Content | None:
    """VMFS, in VMware's own way to write its UUID."""
    if not window.has(_VMFS, b"\x5e\xf1\xab\x2f"):
        return None
    raw = window.read(_VMFS + 9, 16)
    parts = (raw[3::-1], raw[7:3:-1], raw[9:7:-1], raw[10:])
    return Content("VMFS", "-".join(part.hex() for part in parts), window.text(_VMFS + 29, 128))
