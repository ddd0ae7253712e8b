"""FAT12, FAT16 and FAT32: told from partition tables and other boot sectors by the whole parameter block.

Microsoft's "FAT: General Overview of On-Disk Format" 1.03; the strings it says not to rely on are not needed.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from converters.volumes.base import Content
from converters.volumes.window import Window, clean

_PARAMETERS = struct.Struct("<11xHBHBHHBHHHII")
_ENTRY = 32
_VOLUME_LABEL, _LONG_NAME = 0x08, 0x0F
_DELETED = 0xE5
_SMALLEST_FAT32 = 65525
"""Clusters."""
_MOST_CLUSTERS = 256
"""Clusters of a root directory that are searched for a label."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """Sizes and offsets in bytes."""

    fat32: bool
    cluster: int
    fat: int
    root: int
    root_size: int
    data: int
    root_cluster: int


def vfat(window: Window) -> Content | None:
    """A FAT file system; the label is that of the root directory, as blkid(8) has it."""
    layout = _layout(window)
    if layout is None:
        return None
    serial = window.read(0x43 if layout.fat32 else 0x27, 4)
    has_serial = window.read(0x42 if layout.fat32 else 0x26, 1) in (b"\x28", b"\x29")
    low, high = serial[1::-1].hex().upper(), serial[3:1:-1].hex().upper()
    return Content("vfat", f"{high}-{low}" if has_serial and any(serial) else "", _label(window, layout))


def _layout(window: Window) -> _Layout | None:
    boot = window.read(0, 512)
    if (
        len(boot) < 512
        or boot[510:512] != b"\x55\xaa"
        or boot[0] not in (0xEB, 0xE9)
        or boot[3:11] == b"NTFS    "
    ):
        return None
    (sector, per_cluster, reserved, fats, entries, sectors16, media, length16, _, _, _, sectors32) = (
        _PARAMETERS.unpack_from(boot)
    )
    length = length16 or int.from_bytes(boot[36:40], "little")
    sectors = sectors16 or sectors32
    plausible = (
        sector in (512, 1024, 2048, 4096)
        and per_cluster
        and not per_cluster & (per_cluster - 1)
        and reserved
        and fats in (1, 2)
        and (media == 0xF0 or media >= 0xF8)
        and length
    )
    if not plausible:
        return None
    root = reserved + fats * length
    root_size = entries * _ENTRY
    data = root + -(-root_size // sector)
    if data >= sectors:
        return None
    fat32 = (sectors - data) // per_cluster >= _SMALLEST_FAT32 or not length16
    return _Layout(
        fat32=fat32,
        cluster=per_cluster * sector,
        fat=reserved * sector,
        root=root * sector,
        root_size=root_size,
        data=data * sector,
        root_cluster=int.from_bytes(boot[44:48], "little"),
    )


def _label(window: Window, layout: _Layout) -> str:
    if not layout.fat32:
        return _find_label(window.read(layout.root, layout.root_size)) or ""
    cluster = layout.root_cluster
    for _ in range(_MOST_CLUSTERS):
        if not 2 <= cluster < 0x0FFFFFF0:
            break
        found = _find_label(window.read(layout.data + (cluster - 2) * layout.cluster, layout.cluster))
        if found is not None:
            return found
        cluster = window.little(layout.fat + cluster * 4, 4) & 0x0FFFFFFF
    return ""


def _find_label(directory: bytes) -> str | None:
    """The volume label's entry; None where the directory goes on without one."""
    for position in range(0, len(directory) - _ENTRY + 1, _ENTRY):
        first, attributes = directory[position], directory[position + 11]
        if first == 0:
            return ""
        if first != _DELETED and attributes & _LONG_NAME != _LONG_NAME and attributes & _VOLUME_LABEL:
            return clean(directory[position : position + 11])
    return None
