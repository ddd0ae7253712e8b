"""Headers of sparse VMDK extents.

Formats: VMware's "Virtual Disk Format 5.0" for hosted and ESX (``COWD``) extents; for seSparse, which VMware
does not describe, QEMU's ``block/vmdk.c``.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from converters.disks.raw import FileDisk
from converters.disks.vmdk import COWD_MAGIC, FLAG_ZERO_GRAINS, SECTOR, parse_header
from converters.errors import DiskError, UnsupportedError

_COWD = struct.Struct("<4sIIIIII")
"""Magic, version, flags, sectors of the disk, of a grain, of the directory's offset, entries of it."""
_COWD_TABLE = 4096
_SE_MAGIC = 0xCAFEBABE
_SE_HEADER = struct.Struct("<26Q")
_SE_KNOWN = (0x0000000200000001, 8, 64, 0)
"""Version, sectors of a grain and of a grain table, flags."""
_SE_VOLATILE = struct.Struct("<4Q")
_SE_VOLATILE_MAGIC = 0xCAFECAFE
_SE_TABLE_ENTRIES = 4096
_SE_TABLE_COVERS = _SE_TABLE_ENTRIES * 8
"""Sectors, in grains of 4 KiB, the only size that there is."""
_MOST_TABLES = 1 << 22
"""Of one extent: an seSparse one of 64 TiB has as many."""
_MOST_TABLE_ENTRIES = 4096


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
    zero_grains: bool = False
    """Whether an entry of 1 is a grain of zeros."""
    se_tables: int = 0
    """Sector of the first grain table of an seSparse extent, 0 in others."""
    se_grains: int = 0
    """Sector of the first grain of an seSparse extent, 0 in others."""


def sparse_extent(file: FileDisk, name: str) -> SparseExtent:
    """The header of a sparse extent that is not compressed.

    Raises:
        DiskError: it is none, or contradicts itself.
        UnsupportedError: an seSparse one that is not known, or with a journal to replay.
    """
    head = file.pread(SECTOR, 0)
    extent = _hosted(head) or _cowd(head) or _se_sparse(head, file, name)
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
    zeros = bool(header.flags & FLAG_ZERO_GRAINS)
    return SparseExtent(
        header.capacity, header.grain, directory, tables, header.table_entries, overhead, zeros
    )


def _cowd(head: bytes) -> SparseExtent | None:
    if len(head) < _COWD.size or not head.startswith(COWD_MAGIC):
        return None
    _, _, _, capacity, grain, directory, tables = _COWD.unpack_from(head)
    return SparseExtent(capacity, grain, directory * SECTOR, tables, _COWD_TABLE)


def _se_sparse(head: bytes, file: FileDisk, name: str) -> SparseExtent | None:
    if len(head) < _SE_HEADER.size:
        return None
    magic, version, capacity, grain, table, flags, *fields = _SE_HEADER.unpack_from(head)
    if magic != _SE_MAGIC:
        return None
    if (version, grain, table, flags) != _SE_KNOWN:
        raise UnsupportedError(
            f"{name}: an seSparse extent of version {version:#x}, with grains of {grain} sectors, tables of "
            f"{table} and flags {flags:#x}",
            "consolidate the VM's snapshots",
        )
    volatile, directory, tables, grains = fields[4], fields[10], fields[12], fields[18]
    head = file.pread(_SE_VOLATILE.size, volatile * SECTOR)
    if len(head) < _SE_VOLATILE.size or _SE_VOLATILE.unpack(head)[0] != _SE_VOLATILE_MAGIC:
        raise DiskError(f"{name}: the second header of the seSparse extent is damaged", "copy it again")
    if _SE_VOLATILE.unpack(head)[3]:
        raise UnsupportedError(
            f"{name} was not closed: the journal of the seSparse extent must be replayed first",
            "copy it again while no one has it open, or consolidate the VM's snapshots",
        )
    count = -(-capacity // _SE_TABLE_COVERS)
    place = directory * SECTOR
    return SparseExtent(capacity, grain, place, count, _SE_TABLE_ENTRIES, se_tables=tables, se_grains=grains)
