"""A stream-optimized VMDK read at random, always through its grain tables.

The order of its grains says nothing: many writers follow their own. The format is in VMware's "Virtual Disk
Format 5.0", section "Stream-Optimized Compressed Sparse Extents".
"""

from __future__ import annotations

import struct
import threading
from array import array
from collections import OrderedDict
from collections.abc import Iterator

from isal import isal_zlib

from converters.disks.nfc.grains import inflate_grain
from converters.disks.raw import FileDisk
from converters.disks.stretches import Stretch
from converters.disks.tables import numbers
from converters.disks.vmdk import DIRECTORY_AT_END, SECTOR, SparseHeader, parse_header
from converters.errors import DiskError, StreamError

_GRAIN_MARKER = struct.Struct("<QI")
_MARKER = struct.Struct("<QII")
_FOOTER_MARKER = 3
_FOOTER_WITHIN = 1 << 20
"""Bytes from the end in which the footer is looked for: some transports pad a file."""
_LARGEST_GRAIN = (1 << 20) // SECTOR
_MOST_TABLE_ENTRIES = 4096
_MOST_TABLES = 1 << 22
_ZERO_GRAIN = 1
_KEPT_GRAINS = 32
_KEPT_TABLES = 256


class OptimizedDisk:
    """The disk in a compressed VMDK. Memory: 32 grains and 256 tables, of usual size 2.5 MiB; thread-safe."""

    def __init__(self, file: FileDisk, name: str, header: SparseHeader, size: int) -> None:
        """Takes over ``file``: closing this closes it. ``size`` is the disk's, in bytes.

        Raises:
            DiskError: damaged or incomplete.
        """
        self._file = file
        self._name = name
        self._size = size
        self._header = header = _last_header(file, name, header)
        self._grain = header.grain * SECTOR
        self._lock = threading.Lock()
        self._tables: OrderedDict[int, array[int]] = OrderedDict()
        self._grains: OrderedDict[int, bytes] = OrderedDict()
        self._directory = self._read_directory()
        self._check_whole()

    @property
    def size(self) -> int:
        """Size in bytes."""
        return self._size

    def pread(self, length: int, offset: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``; shorter only at the end of the disk.

        Raises:
            DiskError: a grain is damaged.
        """
        end = min(offset + length, self._size)
        parts = []
        while offset < end:
            grain, within = divmod(offset, self._grain)
            count = min(end - offset, self._grain - within)
            data = self._read_grain(grain)
            parts.append(bytes(count) if data is None else data[within : within + count])
            offset += count
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def stretches(self, start: int, end: int) -> Iterator[Stretch]:
        """See ``Sparse``: the grains that there are."""
        while start < end:
            grain = start // self._grain
            stop = min(end, (grain + 1) * self._grain)
            table = grain // self._header.table_entries
            if not self._directory[table]:
                stop = min(end, (table + 1) * self._header.table_entries * self._grain)
            else:
                with self._lock:
                    sector = self._sector(grain)
                if sector > _ZERO_GRAIN:
                    yield start, stop
            start = stop

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._file.close()

    def _read_directory(self) -> array[int]:
        header = self._header
        count = -(-header.capacity // (header.grain * header.table_entries))
        if count > _MOST_TABLES:
            raise DiskError(
                f"{self._name}: a VMDK with {count} grain tables", "copy or export the disk again"
            )
        directory = numbers(self._file, header.directory_offset * SECTOR, count, "I")
        if len(directory) != count:
            raise self._incomplete(header.directory_offset * SECTOR)
        return directory

    def _check_whole(self) -> None:
        """Tables and the last grain must be there."""
        highest = 0
        for sector in filter(None, self._directory):
            table = numbers(self._file, sector * SECTOR, self._header.table_entries, "I")
            if len(table) != self._header.table_entries:
                raise self._incomplete(sector * SECTOR)
            highest = max(highest, max(table))
        if highest > _ZERO_GRAIN:
            self._compressed(highest)

    def _read_grain(self, grain: int) -> bytes | None:
        """A grain's bytes, or None where it is a hole."""
        with self._lock:
            if (data := self._grains.get(grain)) is not None:
                self._grains.move_to_end(grain)
                return data
            sector = self._sector(grain)
        if sector <= _ZERO_GRAIN:
            return None
        offset = grain * self._grain
        first, packed = self._compressed(sector)
        if first is not None and first * SECTOR != offset:
            raise DiskError(
                f"{self._name}: the grain at sector {sector} says that it is disk sector {first}, its table "
                f"that it is {offset // SECTOR}",
                "copy or export the disk again",
            )
        try:
            data = inflate_grain(packed, self._grain, self._header.capacity * SECTOR - offset, offset)
        except StreamError as error:
            raise DiskError(f"{self._name}: {error.message}", "copy or export the disk again") from error
        with self._lock:
            self._grains[grain] = data
            if len(self._grains) > _KEPT_GRAINS:
                self._grains.popitem(last=False)
        return data

    def _sector(self, grain: int) -> int:
        number, entry = divmod(grain, self._header.table_entries)
        table = self._tables.get(number)
        if table is None:
            sector = self._directory[number]
            if not sector:
                return 0
            table = numbers(self._file, sector * SECTOR, self._header.table_entries, "I")
            self._tables[number] = table
            if len(self._tables) > _KEPT_TABLES:
                self._tables.popitem(last=False)
        return table[entry]

    def _compressed(self, sector: int) -> tuple[int | None, bytes]:
        """What lies at a sector of the file: the disk's sector, if a marker says it, and compressed bytes."""
        place = sector * SECTOR
        longest = 2 * self._grain
        if not self._header.markers:
            return None, _first_stream(self._file.pread(longest, place), self._grain)
        head = self._file.pread(_GRAIN_MARKER.size, place)
        if len(head) < _GRAIN_MARKER.size:
            raise self._incomplete(place)
        first, length = _GRAIN_MARKER.unpack(head)
        if not 0 < length <= longest:
            raise DiskError(f"{self._name}: a grain of {length} compressed bytes at sector {sector}")
        packed = self._file.pread(length, place + _GRAIN_MARKER.size)
        if len(packed) != length:
            raise self._incomplete(place + length)
        return first, packed

    def _incomplete(self, place: int) -> DiskError:
        return DiskError(
            f"{self._name} is incomplete: it has {self._file.size} bytes, and its tables speak of data "
            f"behind byte {place}",
            "copy or export the disk again",
        )


def _first_stream(data: bytes, size: int) -> bytes:
    """The compressed bytes that ``data`` begins with, where nothing says how many they are."""
    engine = isal_zlib.decompressobj()
    try:
        engine.decompress(data, size + 1)
    except isal_zlib.IsalError:  # type: ignore[misc]  # its stub says Exception, not type[Exception]
        return data  # whoever inflates it says it better
    return data[: len(data) - len(engine.unused_data)]


def _last_header(file: FileDisk, name: str, header: SparseHeader) -> SparseHeader:
    """The header that counts: the footer's where the first one says that the directory's place comes last."""
    if header.directory_offset == DIRECTORY_AT_END:
        found = next(_footers(file), None)
        if found is None:
            raise DiskError(f"{name} is incomplete: it has no footer", "copy or export the disk again")
        if (found.capacity, found.grain, found.flags) != (header.capacity, header.grain, header.flags):
            raise DiskError(f"{name}: header and footer contradict each other", "copy or export it again")
        header = found
    if (
        header.grain & (header.grain - 1)
        or not 8 <= header.grain <= _LARGEST_GRAIN
        or not 0 < header.table_entries <= _MOST_TABLE_ENTRIES
        or not 1 <= header.version <= 3
    ):
        raise DiskError(
            f"{name}: a VMDK of version {header.version} with grains of {header.grain} sectors and tables of "
            f"{header.table_entries}",
            "copy or export the disk again",
        )
    return header


def _footers(file: FileDisk) -> Iterator[SparseHeader]:
    """Headers behind a footer's marker, the last one first."""
    start = max(0, (file.size - _FOOTER_WITHIN) // SECTOR * SECTOR)
    tail = file.pread(file.size - start, start)
    for place in range(len(tail) // SECTOR * SECTOR - SECTOR, SECTOR - 1, -SECTOR):
        footer = parse_header(tail[place : place + SECTOR])
        if footer is None or footer.directory_offset == DIRECTORY_AT_END:
            continue
        _, size, kind = _MARKER.unpack_from(tail, place - SECTOR)
        if (size, kind) == (0, _FOOTER_MARKER):
            yield footer
