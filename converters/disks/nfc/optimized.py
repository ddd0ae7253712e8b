"""A stream-optimized VMDK, decoded as it arrives.

The format is in "Virtual Disk Format 5.0", section "Stream-Optimized Compressed Sparse Extents": header,
descriptor, then grains and tables, each after a marker; at the end a footer, which is the header again with
the place of the grain directory. Images that were written to a file and not to a stream have directory and
tables before the grains instead, and no footer.
"""

from __future__ import annotations

import struct
from collections.abc import Generator
from enum import IntEnum

from converters.disks.nfc.grains import GrainWriter
from converters.disks.nfc.tables import GrainTables
from converters.disks.scratch import BLOCK, SparseFile
from converters.disks.vmdk import (
    DESCRIPTOR_LIMIT,
    DIRECTORY_AT_END,
    SECTOR,
    SparseHeader,
    is_descriptor,
    parse_descriptor,
    parse_header,
)
from converters.errors import DiskError, StreamError

_MARKER = struct.Struct("<QII")
_GRAIN_HEADER = 12
_LARGEST_GRAIN = (1 << 20) // SECTOR
_MOST_TABLE_ENTRIES = 4096
_MOST_KEPT = 16 << 20
"""Bytes of grains that came twice, kept until the tables say which one counts."""


class Marker(IntEnum):
    """What follows a marker that is not a grain's."""

    END_OF_STREAM = 0
    GRAIN_TABLE = 1
    GRAIN_DIRECTORY = 2
    FOOTER = 3


def streamable(header: SparseHeader) -> bool:
    """Whether the image can be decoded front to back: grains after markers, tables before or after."""
    first = header.directory_offset
    return header.compressed and header.markers and (first == DIRECTORY_AT_END or 0 < first < header.overhead)


class OptimizedDecoder:
    """Takes the stream in pieces of any size."""

    def __init__(self, header: SparseHeader, scratch: SparseFile, threads: int) -> None:
        """``header`` is the stream's; the stream's first sector is fed nevertheless.

        Raises:
            StreamError: the header contradicts itself.
            DiskError: a version that is not known.
        """
        _check(header)
        self._header = header
        self._tables = GrainTables(header)
        self._directory = header.directory_offset
        self._kept: dict[tuple[int, int], bytes] = {}
        self._kept_bytes = 0
        grain, capacity = header.grain * SECTOR, header.capacity * SECTOR
        self._scratch = scratch
        self._grains = GrainWriter(scratch, grain, capacity, threads)
        self._buffer = bytearray()
        self._offset = 0
        """Bytes of the stream before the buffer."""
        self._between = False
        self._ended = False
        self._parser = self._parse()
        self._need = next(self._parser)

    @property
    def capacity(self) -> int:
        """Size of the disk in bytes."""
        return self._header.capacity * SECTOR

    @property
    def written(self) -> int:
        """Bytes written to scratch so far."""
        return self._grains.written

    def feed(self, chunk: bytes | memoryview) -> None:
        """Take the next bytes.

        Raises:
            StreamError: damaged.
            ScratchFullError: no space left.
        """
        if self._ended:
            return  # padding
        self._buffer += chunk
        taken = 0
        while not self._ended and len(self._buffer) - taken >= self._need:
            piece = bytes(memoryview(self._buffer)[taken : taken + self._need])
            taken += len(piece)
            try:
                self._need = self._parser.send(piece)
            except StopIteration:
                self._ended = True
            self._offset += len(piece)
        del self._buffer[:taken]

    def finish(self) -> None:
        """The stream is over: check that it is whole.

        Raises:
            StreamError: cut short, or tables and grains contradict each other.
        """
        tables_first = self._header.directory_offset != DIRECTORY_AT_END
        if tables_first and (missing := -len(self._buffer) % SECTOR):
            self.feed(bytes(missing))  # the last grain of some files is not padded to a sector
        if not self._ended and not (tables_first and self._between and not self._buffer):
            raise StreamError(
                f"the stream ends after {self._offset + len(self._buffer)} bytes, before its end marker"
            )
        if self._directory == DIRECTORY_AT_END:
            raise StreamError("the stream has no footer")
        self._grains.finish()
        for grain, sector in self._tables.disagreements(self._directory):
            data = self._kept.get((grain, sector))
            if data is None:
                raise StreamError(
                    f"the table names sector {sector} for grain {grain}, which is at another sector"
                )
            self._grains.replace(grain * self._header.grain * SECTOR, data)
        self._scratch.finish(self.capacity)

    def close(self) -> None:
        """End the threads; a second call does nothing."""
        self._grains.close()

    def _parse(self) -> Generator[int, bytes, None]:
        """Yields how many bytes it needs next, and is sent them."""
        yield SECTOR
        self._check_metadata((yield (self._header.overhead - 1) * SECTOR))
        while True:
            self._between = True
            marker = yield SECTOR
            self._between = False
            value, size, kind = _MARKER.unpack_from(marker)
            if size:
                sector = self._offset // SECTOR
                length = self._grain_length(size)
                rest = yield length - SECTOR
                self._take_grain(value, (marker + rest)[_GRAIN_HEADER : _GRAIN_HEADER + size], sector)
            elif kind == Marker.END_OF_STREAM:
                return
            else:
                length = self._metadata_length(kind, value)
                self._take_metadata(kind, (yield length))

    def _check_metadata(self, area: bytes) -> None:
        """Descriptor, and tables that come first."""
        start = (self._header.descriptor_offset - 1) * SECTOR
        length = min(self._header.descriptor_size * SECTOR, DESCRIPTOR_LIMIT)
        text = area[start : start + length] if start >= 0 else b""
        if is_descriptor(text):
            told = parse_descriptor(text).capacity
            if told != self.capacity:
                raise StreamError(f"the descriptor says {told} bytes of disk, the header {self.capacity}")
        if self._directory != DIRECTORY_AT_END:
            self._tables.load(area, 1, self._directory)

    def _grain_length(self, size: int) -> int:
        if size > 2 * self._header.grain * SECTOR:
            raise StreamError(f"a compressed grain of {size} bytes at stream byte {self._offset}")
        return -(-(_GRAIN_HEADER + size) // SECTOR) * SECTOR

    def _take_grain(self, first: int, data: bytes, sector: int) -> None:
        grain, within = divmod(first, self._header.grain)
        if within or first >= self._header.capacity:
            raise StreamError(f"a grain for disk sector {first}, where none can be")
        if self._tables.saw(grain, sector):
            self._grains.put(first * SECTOR, data)
            return
        self._kept_bytes += len(data)
        if self._kept_bytes > _MOST_KEPT:
            raise StreamError(f"more than {_MOST_KEPT} bytes of grains came twice")
        self._kept[grain, sector] = data

    def _metadata_length(self, kind: int, sectors: int) -> int:
        match kind:
            case Marker.GRAIN_TABLE:
                wanted = self._tables.table_bytes
            case Marker.GRAIN_DIRECTORY:
                wanted = self._tables.directory_bytes
            case Marker.FOOTER:
                wanted = SECTOR
            case _:
                raise StreamError(f"a marker of unknown type {kind} at stream byte {self._offset}")
        length = sectors * SECTOR
        if not wanted <= length <= wanted + BLOCK:
            raise StreamError(f"a marker of type {kind} for {length} bytes, where {wanted} are needed")
        return length

    def _take_metadata(self, kind: int, data: bytes) -> None:
        sector = self._offset // SECTOR
        match kind:
            case Marker.GRAIN_TABLE:
                self._tables.add_table(sector, data)
            case Marker.GRAIN_DIRECTORY:
                self._tables.add_directory(sector, data)
            case _:
                self._take_footer(parse_header(data))

    def _take_footer(self, footer: SparseHeader | None) -> None:
        header = self._header
        if footer is None or (footer.capacity, footer.grain, footer.table_entries, footer.flags) != (
            header.capacity,
            header.grain,
            header.table_entries,
            header.flags,
        ):
            raise StreamError("the footer does not agree with the header")
        if self._directory == DIRECTORY_AT_END:
            self._directory = footer.directory_offset


def _check(header: SparseHeader) -> None:
    if not 1 <= header.version <= 3:
        raise DiskError(f"a VMDK stream of version {header.version}", "versions 1 to 3 are known")
    if not header.newlines_intact:
        raise StreamError("the VMDK was altered on the way: its line ends were converted as if it were text")
    if header.grain & (header.grain - 1) or not 8 <= header.grain <= _LARGEST_GRAIN:
        raise StreamError(f"a VMDK stream with grains of {header.grain} sectors")
    if not 0 < header.table_entries <= _MOST_TABLE_ENTRIES or not header.capacity:
        raise StreamError(
            f"a VMDK stream of {header.capacity} sectors, {header.table_entries} grains a table"
        )
    tables = GrainTables(header).all_bytes if header.directory_offset != DIRECTORY_AT_END else 0
    if not 1 <= header.overhead <= (2 * tables + (4 << 20)) // SECTOR:
        raise StreamError(f"a VMDK stream with {header.overhead} sectors of metadata before its data")
