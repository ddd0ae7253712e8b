"""Grain tables of sparse VMDK extents: how large an extent is, and whether all of it is there.

QEMU reads what lies behind the end of a file as zeros, so of an extent that was copied in part it would give
zeros for what is missing, without a word. Formats: VMware's "Virtual Disk Format 5.0" for hosted and ESX
(``COWD``) extents; for seSparse, which VMware does not describe, QEMU's ``block/vmdk.c``.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass

from converters.disks.raw import FileDisk
from converters.disks.tables import numbers
from converters.disks.vmdk import COWD_MAGIC, SECTOR, parse_header
from converters.errors import DiskError

_COWD = struct.Struct("<4sIIIIII")
"""Magic, version, flags, sectors of the disk, of a grain, of the directory's offset, entries of it."""
_COWD_TABLE = 4096
_SE_MAGIC = 0xCAFEBABE
_SE_HEADER = struct.Struct("<26Q")
_SE_TABLE_ENTRIES = 4096
_SE_TABLE_COVERS = _SE_TABLE_ENTRIES * 8
"""Sectors, in grains of 4 KiB, the only size that there is."""
_SE_TABLE_BYTES = _SE_TABLE_ENTRIES * 8
_SE_ALLOCATED = 3
_MOST_TABLES = 1 << 22
"""Of one extent: an seSparse one of 64 TiB has as many."""
_MOST_TABLE_ENTRIES = 4096
_READ = 8 << 20
_ZERO_GRAIN = 1


@dataclass(frozen=True, slots=True)
class SparseExtent:
    """Where the tables of a sparse extent are."""

    capacity: int
    """Sectors."""
    grain: int
    """Sectors."""
    directory: int
    """Byte of the file."""
    tables: int
    """Entries of the directory."""
    table_entries: int
    overhead: int = 0
    """Bytes that the header says to lie before the first grain."""
    se_tables: int = 0
    """Sector of the first grain table of an seSparse extent, 0 in others."""
    se_grains: int = 0
    """Sector of the first grain of an seSparse extent."""


def sparse_extent(file: FileDisk, name: str) -> SparseExtent:
    """The header of a sparse extent that is not compressed.

    Raises:
        DiskError: it is none, or contradicts itself.
    """
    head = file.pread(SECTOR, 0)
    extent = _hosted(head) or _cowd(head) or _se_sparse(head)
    if extent is None:
        raise DiskError(
            f"{name} is no sparse VMDK extent without compression", "copy or export the disk again"
        )
    if not (
        extent.capacity
        and extent.grain
        and 0 < extent.tables <= _MOST_TABLES
        and 0 < extent.table_entries <= _MOST_TABLE_ENTRIES
    ):
        raise DiskError(
            f"{name}: a sparse VMDK extent of capacity {extent.capacity}, with grains of {extent.grain} "
            f"sectors and {extent.tables} tables",
            "copy or export the disk again",
        )
    return extent


def _hosted(head: bytes) -> SparseExtent | None:
    header = parse_header(head)
    if header is None or header.compressed:
        return None
    covers = header.table_entries * header.grain
    tables = -(-header.capacity // covers) if covers else 0
    directory, overhead = header.directory_offset * SECTOR, header.overhead * SECTOR
    return SparseExtent(header.capacity, header.grain, directory, tables, header.table_entries, overhead)


def _cowd(head: bytes) -> SparseExtent | None:
    if len(head) < _COWD.size or not head.startswith(COWD_MAGIC):
        return None
    _, _, _, capacity, grain, directory, tables = _COWD.unpack_from(head)
    return SparseExtent(capacity, grain, directory * SECTOR, tables, _COWD_TABLE)


def _se_sparse(head: bytes) -> SparseExtent | None:
    if len(head) < _SE_HEADER.size:
        return None
    fields = _SE_HEADER.unpack_from(head)
    if fields[0] != _SE_MAGIC:
        return None
    capacity, grain = fields[2:4]
    directory, tables, grains = fields[16], fields[18], fields[24]
    count = -(-capacity // _SE_TABLE_COVERS)
    return SparseExtent(capacity, grain, directory * SECTOR, count, _SE_TABLE_ENTRIES, 0, tables, grains)


def check_whole(extent: SparseExtent, file: FileDisk, name: str) -> None:
    """Refuse an extent of which a part is missing.

    Raises:
        DiskError: the file ends before a table or a grain that it should hold.
    """
    last = max(
        extent.directory + extent.tables * _width(extent),
        extent.overhead,
        (_se_end if extent.se_grains else _end)(extent, file),
    )
    if last > file.size:
        raise DiskError(
            f"{name} is incomplete: it has {file.size} bytes, and its tables speak of data up to byte {last}",
            "copy or export the disk again",
        )


def _width(extent: SparseExtent) -> int:
    return 8 if extent.se_grains else 4


def _end(extent: SparseExtent, file: FileDisk) -> int:
    """Where the last table or grain of a hosted or ESX extent ends, in bytes of the file."""
    last = 0
    for number, sector in _directory(extent, file, "I"):
        last = max(last, sector * SECTOR + extent.table_entries * 4)
        grains = numbers(file, sector * SECTOR, extent.table_entries, "I")
        if (highest := max(grains, default=0)) > _ZERO_GRAIN:
            last = max(last, (highest + _sectors(extent, number, grains, highest)) * SECTOR)
    return last


def _sectors(extent: SparseExtent, table: int, grains: array[int], highest: int) -> int:
    """Sectors of the grain at the ``highest`` sector: the disk's last one may be cut short."""
    rest = extent.capacity % extent.grain
    number = extent.capacity // extent.grain - table * extent.table_entries
    if rest and number < len(grains) and grains[number] == highest:
        return rest
    return extent.grain


def _se_end(extent: SparseExtent, file: FileDisk) -> int:
    """The same of an seSparse extent, whose entries hold a type and a number in two parts."""
    last = 0
    for _, entry in _directory(extent, file, "Q"):
        start = extent.se_tables * SECTOR + (entry & 0xFFFFFFFF) * _SE_TABLE_BYTES
        last = max(last, start + _SE_TABLE_BYTES)
        grains = (
            (item >> 48 & 0xFFF) | (item & 0xFFFFFFFFFFFF) << 12
            for item in numbers(file, start, extent.table_entries, "Q")
            if item >> 60 == _SE_ALLOCATED
        )
        if (highest := max(grains, default=-1)) >= 0:
            last = max(last, (extent.se_grains + (highest + 1) * extent.grain) * SECTOR)
    return last


def _directory(extent: SparseExtent, file: FileDisk, kind: str) -> Iterator[tuple[int, int]]:
    """The entries of the directory that name a table, with their numbers."""
    width, first = _width(extent), 0
    while first < extent.tables:
        count = min(_READ // width, extent.tables - first)
        entries = numbers(file, extent.directory + first * width, count, kind)
        yield from ((number, entry) for number, entry in enumerate(entries, first) if entry)
        if len(entries) < count:
            return
        first += count
