"""Grain tables of sparse VMDK extents: where an extent's bytes are, and whether all of them are there.

Read here because QEMU takes a grain at a time, of which those of ESX deltas have 512 bytes (18 MB a second),
and reads what is missing at the end of a file as zeros.
"""

from __future__ import annotations

import threading
from array import array
from collections import OrderedDict
from collections.abc import Iterator

from converters.disks.blocks import Nothing, incomplete
from converters.disks.raw import FileDisk
from converters.disks.tables import numbers
from converters.disks.vmdk import SECTOR
from converters.disks.vmdk_sparse import SparseExtent
from converters.errors import DiskError

_ZERO_GRAIN = 1
_SE_TABLE_ALLOCATED = 0x10000000
"""Upper half of an seSparse directory's entry that names a table."""
_SE_DATA = 3
"""Upper four bits of an seSparse table's entry that names a grain."""
_KEPT_TABLES = 128
"""Of at most 32 KiB each."""


class GrainTables:
    """Directory and tables of one extent; thread-safe. Memory: the directory, and 128 tables."""

    def __init__(self, file: FileDisk, name: str, extent: SparseExtent) -> None:
        """``file`` stays its owner's.

        Raises:
            DiskError: a part of the extent is missing, or the directory is damaged.
        """
        self._file = file
        self._name = name
        self._extent = extent
        self._grain = extent.grain * SECTOR
        self._kind = "Q" if extent.se_grains else "I"
        self._directory = numbers(file, extent.directory, extent.tables, self._kind)
        self._tables: OrderedDict[int, array[int]] = OrderedDict()
        self._lock = threading.Lock()
        if len(self._directory) != extent.tables:
            raise incomplete(name, file, extent.directory + extent.tables * self._directory.itemsize)
        self._check_whole()

    def pieces(self, offset: int, count: int) -> Iterator[tuple[int | Nothing, int]]:
        """What the extent's bytes from ``offset`` are, in order: the byte of the file, or nothing; how many.

        Raises:
            DiskError: a table is damaged.
        """
        end, per_table = offset + count, self._extent.table_entries
        while offset < end:
            number, first = divmod(offset // self._grain, per_table)
            stop = min(end, (number + 1) * per_table * self._grain)
            table = self._table(number)
            if table is None:
                yield Nothing.ABSENT, stop - offset
            else:
                last = -(-stop // self._grain) - number * per_table
                yield from self._runs(table[first:last], offset, stop)
            offset = stop

    def _runs(self, entries: array[int], offset: int, stop: int) -> Iterator[tuple[int | Nothing, int]]:
        """Grains that lie one after another in the file, or are alike, as one."""
        place, size = self._place(entries[0]), self._grain - offset % self._grain
        if not isinstance(place, Nothing):
            place += offset % self._grain
        for entry in entries[1:]:
            following = self._place(entry)
            if following == (place if isinstance(place, Nothing) else place + size):
                size += self._grain
                continue
            yield place, size
            offset += size
            place, size = following, self._grain
        yield place, stop - offset

    def _place(self, entry: int) -> int | Nothing:
        if not entry:
            return Nothing.ABSENT
        if not self._extent.se_grains:
            return Nothing.ZERO if entry == _ZERO_GRAIN and self._extent.zero_grains else entry * SECTOR
        match entry >> 60:
            case 1 | 2:  # unmapped, zero
                return Nothing.ZERO
            case 3:
                grain = (entry >> 48 & 0xFFF) | (entry & 0xFFFFFFFFFFFF) << 12
                return self._extent.se_grains * SECTOR + grain * self._grain
            case _:
                raise self._damaged(entry)

    def _table(self, number: int) -> array[int] | None:
        entry = self._directory[number]
        if not entry:
            return None
        with self._lock:
            table = self._tables.get(number)
            if table is not None:
                self._tables.move_to_end(number)
                return table
        table = self._load(entry)
        with self._lock:
            self._tables[number] = table
            if len(self._tables) > _KEPT_TABLES:
                self._tables.popitem(last=False)
        return table

    def _load(self, entry: int) -> array[int]:
        place = self._table_place(entry)
        table = numbers(self._file, place, self._extent.table_entries, self._kind)
        if len(table) != self._extent.table_entries:
            raise incomplete(self._name, self._file, place + self._extent.table_entries * table.itemsize)
        return table

    def _table_place(self, entry: int) -> int:
        if not self._extent.se_grains:
            return entry * SECTOR
        if entry >> 32 != _SE_TABLE_ALLOCATED:
            raise self._damaged(entry)
        return self._extent.se_tables * SECTOR + (entry & 0xFFFFFFFF) * self._extent.table_entries * 8

    def _check_whole(self) -> None:
        last = self._extent.overhead
        for number, entry in enumerate(self._directory):
            if entry:
                last = max(last, self._end(number, self._load(entry)))
                if last > self._file.size:
                    break
        if last > self._file.size:
            raise incomplete(self._name, self._file, last)

    def _end(self, number: int, table: array[int]) -> int:
        """Byte of the file up to which the grains of a table reach."""
        extent = self._extent
        if extent.se_grains:
            grains = (
                (entry >> 48 & 0xFFF) | (entry & 0xFFFFFFFFFFFF) << 12
                for entry in table
                if entry >> 60 == _SE_DATA
            )
            return extent.se_grains * SECTOR + (max(grains, default=-1) + 1) * self._grain
        if (highest := max(table)) <= _ZERO_GRAIN:
            return 0
        # The last grain of a disk that is no multiple of one may be cut short.
        rest = extent.capacity % extent.grain
        final = extent.capacity // extent.grain - number * extent.table_entries
        cut = rest and final < len(table) and table[final] == highest
        return (highest + (rest if cut else extent.grain)) * SECTOR

    def _damaged(self, entry: int) -> DiskError:
        return DiskError(
            f"{self._name}: a table of the extent holds {entry:#x}, which means nothing",
            "copy or export the disk again",
        )
