"""GUID partition tables (UEFI specification 2.10, chapter 5.3), in sectors of 512 or 4096 bytes."""

from __future__ import annotations

import struct
import uuid
import zlib
from dataclasses import dataclass

from converters.disks.base import Disk
from converters.volumes.window import clean

_SIGNATURE = b"EFI PART"
_HEADER = struct.Struct("<8sIIIIQQQQ16sQIII")
_SECTOR_SIZES = (512, 4096)
_SMALLEST_ENTRY = 128
_LARGEST_TABLE = 512 << 10
"""Bytes; 16 KiB is usual."""
_UNUSED = bytes(16)


@dataclass(frozen=True, slots=True)
class GptEntry:
    """One used entry; ``first`` and ``size`` in bytes, not yet checked against the disk."""

    number: int
    first: int
    size: int
    type: str
    uuid: str
    label: str
    flags: int


@dataclass(frozen=True, slots=True)
class Gpt:
    """A table that its checksums confirm."""

    sector: int
    entries: tuple[GptEntry, ...]
    backup: bool
    """Whether it was read from the end of the disk because the one at the start is damaged."""


def read_gpt(disk: Disk) -> Gpt | None:
    """The disk's table, from its start or else its end; None where neither is whole."""
    for sector in _SECTOR_SIZES:
        if (entries := _table(disk, sector, 1)) is not None:
            return Gpt(sector, entries, backup=False)
    for sector in _SECTOR_SIZES:
        # A disk that was made larger has its backup where the damaged header says, not at the end.
        places = [disk.size // sector - 1]
        head = disk.pread(_HEADER.size, sector)
        if head.startswith(_SIGNATURE):
            places.append(int.from_bytes(head[32:40], "little"))
        for place in places:
            if (entries := _table(disk, sector, place)) is not None:
                return Gpt(sector, entries, backup=True)
    return None


def has_signature(disk: Disk) -> bool:
    """Whether a header was there once, whole or not."""
    return any(disk.pread(8, sector) == _SIGNATURE for sector in _SECTOR_SIZES)


def _table(disk: Disk, sector: int, place: int) -> tuple[GptEntry, ...] | None:
    """The entries under the header in sector ``place``, if both checksums are right."""
    if not 0 < place < disk.size // sector:
        return None
    head = disk.pread(sector, place * sector)
    (signature, _, length, checksum, _, own, _, _, _, _, first, count, size, entries_checksum) = (
        _HEADER.unpack_from(head)
    )
    if signature != _SIGNATURE or not _HEADER.size <= length <= sector or own != place:
        return None
    if zlib.crc32(head[:16] + bytes(4) + head[20:length]) != checksum:
        return None
    if (
        size < _SMALLEST_ENTRY
        or size % 8
        or not 0 < count * size <= _LARGEST_TABLE
        or first * sector >= disk.size
    ):
        return None
    table = disk.pread(count * size, first * sector)
    if len(table) != count * size or zlib.crc32(table) != entries_checksum:
        return None
    records = (table[position : position + size] for position in range(0, len(table), size))
    return tuple(
        _entry(number, record, sector) for number, record in enumerate(records, 1) if record[:16] != _UNUSED
    )


def _entry(number: int, record: bytes, sector: int) -> GptEntry:
    first, last = struct.unpack_from("<QQ", record, 32)
    return GptEntry(
        number=number,
        first=first * sector,
        size=(last - first + 1) * sector,
        type=str(uuid.UUID(bytes_le=record[:16])),
        uuid=str(uuid.UUID(bytes_le=record[16:32])),
        label=clean(record[56:128], "utf-16-le"),
        flags=int.from_bytes(record[48:56], "little"),
    )
