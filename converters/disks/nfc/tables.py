"""Grain tables: which part of the stream holds which part of the disk, as the stream's end says it.

The tables rule ("Virtual Disk Format 5.0", "Stream-Optimized Compressed Sparse Extents"); what the markers
said on the way must agree with them.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator

from converters.disks.vmdk import SECTOR, SparseHeader
from converters.errors import StreamError

_ENTRY = 4
_ZERO_GRAIN = 1
"""Entry of a grain of zeros that has no data ("zeroed-grain GTE")."""


def _entries(data: bytes) -> array[int]:
    values = array("I", data)
    if sys.byteorder == "big":
        values.byteswap()
    return values


class GrainTables:
    """What markers and tables say about each grain; 8 bytes of memory a grain that is there."""

    def __init__(self, header: SparseHeader) -> None:
        self._per_table = header.table_entries
        self._grains = -(-header.capacity // header.grain)
        self._length = -(-self._grains // self._per_table)
        self._seen: dict[int, array[int]] = {}
        self._tables: dict[int, array[int]] = {}
        self._directories: dict[int, array[int]] = {}

    @property
    def directory_bytes(self) -> int:
        """Bytes of the grain directory."""
        return self._length * _ENTRY

    @property
    def table_bytes(self) -> int:
        """Bytes of one grain table."""
        return self._per_table * _ENTRY

    @property
    def all_bytes(self) -> int:
        """Bytes of the directory and every table."""
        return self._length * (_ENTRY + self.table_bytes + SECTOR)

    def saw(self, grain: int, sector: int) -> bool:
        """A marker says that the stream's ``sector`` holds ``grain``; False if another sector did already."""
        table, entry = divmod(grain, self._per_table)
        seen = self._seen.get(table)
        if seen is None:
            seen = self._seen[table] = array("I", bytes(self.table_bytes))
        if seen[entry]:
            return False
        if sector >= 1 << 32:
            raise StreamError(
                f"a grain beyond the 2 TiB that a stream-optimized VMDK can hold: sector {sector}"
            )
        seen[entry] = sector
        return True

    def add_table(self, sector: int, data: bytes) -> None:
        """A grain table at the stream's ``sector``."""
        if len(self._tables) > 2 * self._length + 1:
            raise StreamError(f"more than {2 * self._length} grain tables in the stream")
        self._tables[sector] = _entries(data[: self.table_bytes])

    def add_directory(self, sector: int, data: bytes) -> None:
        """A grain directory at the stream's ``sector``."""
        if len(self._directories) > 2:
            raise StreamError("more than two grain directories in the stream")
        self._directories[sector] = _entries(data[: self.directory_bytes])

    def load(self, area: bytes, first_sector: int, directory: int) -> None:
        """Directory and tables that lie before the grains, in the ``area`` from ``first_sector`` on."""

        def at(sector: int, length: int) -> bytes:
            start = (sector - first_sector) * SECTOR
            data = area[start : start + length] if start >= 0 else b""
            if len(data) != length:
                raise StreamError(f"a grain table at sector {sector} is outside the stream's metadata")
            return data

        self.add_directory(directory, at(directory, self.directory_bytes))
        for sector in self._directories[directory]:
            if sector:
                self.add_table(sector, at(sector, self.table_bytes))

    def disagreements(self, directory: int) -> Iterator[tuple[int, int]]:
        """Grains whose table names another sector than their first marker: grain and the table's sector.

        Raises:
            StreamError: the directory or a table is missing, or tables and markers contradict each other.
        """
        if directory not in self._directories:
            raise StreamError(f"the stream has no grain directory at sector {directory}")
        nothing = array("I", bytes(self.table_bytes))
        for number, sector in enumerate(self._directories[directory]):
            table = self._tables.get(sector) if sector else nothing
            if table is None:
                raise StreamError(f"the stream has no grain table at sector {sector}")
            seen = self._seen.get(number, nothing)
            if table != seen:
                yield from self._differences(number * self._per_table, table, seen)

    def _differences(self, first: int, table: array[int], seen: array[int]) -> Iterator[tuple[int, int]]:
        for grain, (told, found) in enumerate(zip(table, seen, strict=True), first):
            if told == found or (told == _ZERO_GRAIN and not found):
                continue
            if not found:
                raise StreamError(
                    f"grain {grain} is missing: its table names sector {told}, which holds no such grain"
                )
            if told <= _ZERO_GRAIN:
                raise StreamError(f"no grain table names grain {grain}, which sector {found} holds")
            yield grain, told
