"""MBR partition tables with extended partitions, read as Linux reads them (block/partitions/msdos.c)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from converters.disks.base import Disk

SECTOR = 512
PROTECTIVE = 0xEE
_EXTENDED = frozenset({0x05, 0x0F, 0x85})
_SIGNATURE = b"\x55\xaa"
_ENTRIES = struct.Struct("<B3xB3xII")
_FIRST_ENTRY = 446
_FIRST_LOGICAL = 5
_MOST_LOGICAL = 128
"""Also ends a chain that never does."""


@dataclass(frozen=True, slots=True)
class MbrEntry:
    """A partition that can hold data; in sectors of 512 bytes, not yet checked against the disk."""

    number: int
    first: int
    size: int
    type: int


@dataclass(frozen=True, slots=True)
class Mbr:
    """The table in a disk's first sector and the chain of those behind it."""

    identifier: int
    """The disk's, from which partitions have their UUIDs."""
    entries: tuple[MbrEntry, ...]
    notes: tuple[str, ...]

    @property
    def protective(self) -> bool:
        """Whether it says that the disk has a GUID partition table."""
        return any(entry.type == PROTECTIVE for entry in self.entries)


def read_mbr(disk: Disk) -> Mbr | None:
    """The disk's table; None where the first sector is none.

    Boot sectors of file systems end in the same signature. A table is taken for one if every entry has a boot
    flag that means something and one of them is a partition; file systems that begin with a boot sector are
    for the caller to tell.
    """
    head = disk.pread(SECTOR, 0)
    entries = _entries(head)
    if entries is None or any(flag not in (0, 0x80) for flag, *_ in entries):
        return None
    if not any(kind and size for _, kind, _, size in entries):
        return None
    found: list[MbrEntry] = []
    notes: list[str] = []
    logical = _FIRST_LOGICAL
    for number, (_, kind, first, size) in enumerate(entries, 1):
        if not kind or not size:
            continue
        if kind not in _EXTENDED:
            found.append(MbrEntry(number, first, size, kind))
            continue
        for entry in _logical(disk, first, size, logical, notes):
            found.append(entry)
            logical = entry.number + 1
    return Mbr(int.from_bytes(head[440:444], "little"), tuple(found), tuple(notes))


def _entries(sector: bytes) -> list[tuple[int, int, int, int]] | None:
    """Flag, type, first sector and size of the four entries; None without the signature."""
    if len(sector) < SECTOR or sector[510:512] != _SIGNATURE:
        return None
    return [_ENTRIES.unpack_from(sector, _FIRST_ENTRY + 16 * index) for index in range(4)]


def _logical(disk: Disk, start: int, size: int, number: int, notes: list[str]) -> Iterator[MbrEntry]:
    """The logical partitions of the extended partition ``start``, along the chain of its tables."""
    seen: set[int] = set()
    here, length = start, size
    while number < _FIRST_LOGICAL + _MOST_LOGICAL:
        if here in seen:
            notes.append(f"the chain of logical partitions returns to sector {here}: it ends there")
            return
        seen.add(here)
        entries = _entries(disk.pread(SECTOR, here * SECTOR)) if here * SECTOR < disk.size else None
        if entries is None:
            notes.append(f"no table of logical partitions at sector {here}: the chain ends there")
            return
        for index, (_, kind, relative, count) in enumerate(entries):
            if not kind or not count or kind in _EXTENDED:
                continue
            first = here + relative
            # Entries 3 and 4 are used by nobody, and in old tables hold garbage: DOS and Linux take them only
            # if they lie within their place.
            outside = relative + count > length or first < start or first + count > start + size
            if index >= 2 and outside:
                continue
            yield MbrEntry(number, first, count, kind)
            number += 1
        following = next(
            ((first, count) for _, kind, first, count in entries if kind in _EXTENDED and count), None
        )
        if following is None:
            return
        here, length = start + following[0], following[1]
    notes.append(f"more than {_MOST_LOGICAL} logical partitions: the rest is left out")
