"""The disk in a VMDK of any kind."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import accumulate

from converters.disks.base import Disk
from converters.disks.blocks import Nothing, incomplete
from converters.disks.optimized import OptimizedDisk
from converters.disks.raw import Extent, ExtentDisk, FileDisk, RawDisk
from converters.disks.references import Image
from converters.disks.stretches import Stretch, shifted
from converters.disks.vmdk import FLAT_TYPES, SECTOR, Descriptor, ExtentLine, SparseHeader
from converters.disks.vmdk_extents import (
    check_extents,
    check_size,
    open_extent,
    own_extent,
    parent_of,
    read_descriptor,
)
from converters.disks.vmdk_sparse import sparse_extent
from converters.disks.vmdk_tables import GrainTables
from converters.errors import DiskError


@dataclass(frozen=True, slots=True)
class Part:
    """One extent of a disk."""

    size: int
    """Bytes of the disk."""
    file: FileDisk | None
    """None: zeros."""
    offset: int = 0
    """Byte of the file where a flat one begins."""
    grains: GrainTables | None = None
    """Where the bytes of a sparse one are."""

    def pieces(self, offset: int, count: int) -> Iterator[tuple[int | Nothing, int]]:
        """What the extent's bytes from ``offset`` are: the byte of the file, or nothing; how many."""
        if self.file is None:
            return iter([(Nothing.ZERO, count)])
        if self.grains is None:
            return iter([(self.offset + offset, count)])
        return self.grains.pieces(offset, count)


class VmdkDisk:
    """Extents one after another, sparse or flat, over a parent or none; thread-safe."""

    def __init__(self, name: str, parts: Sequence[Part], parent: Disk | None) -> None:
        """Takes over the parts' files and ``parent``: closing this closes them."""
        self._name = name
        self._parts = tuple(parts)
        self._parent = parent
        ends = list(accumulate((part.size for part in parts), initial=0))
        self._starts, self._size = ends[:-1], ends[-1]

    @property
    def size(self) -> int:
        """Size in bytes."""
        return self._size

    def pread(self, length: int, offset: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``; shorter only at the end of the disk.

        Raises:
            DiskError: an extent or the parent is damaged there.
        """
        end = min(offset + length, self._size)
        found = []
        while offset < end:
            index = bisect_right(self._starts, offset) - 1
            part, within = self._parts[index], offset - self._starts[index]
            for place, count in part.pieces(within, min(end - offset, part.size - within)):
                found.append(self._read(part, place, count, offset))
                offset += count
        return found[0] if len(found) == 1 else b"".join(found)

    def stretches(self, start: int, end: int) -> Iterator[Stretch]:
        """See ``Sparse``: grains and flat extents, and what the parent has in place of absent ones."""
        while start < end:
            index = bisect_right(self._starts, start) - 1
            part, within = self._parts[index], start - self._starts[index]
            for place, count in part.pieces(within, min(end - start, part.size - within)):
                if place is Nothing.ABSENT:
                    if self._parent is not None:
                        yield from shifted(self._parent, start, count, start)
                elif part.grains is not None and place is not Nothing.ZERO:
                    yield start, start + count
                elif part.file is not None and not isinstance(place, Nothing):
                    yield from shifted(part.file, place, count, start)
                start += count

    def close(self) -> None:
        """Close the extents and the parent; a second call does nothing."""
        for part in self._parts:
            if part.file is not None:
                part.file.close()
        if self._parent is not None:
            self._parent.close()

    def _read(self, part: Part, place: int | Nothing, count: int, offset: int) -> bytes:
        """``count`` bytes at a place of a part's file, or of what is below ``offset`` of the disk."""
        if place is Nothing.ZERO or part.file is None:
            return bytes(count)
        if place is Nothing.ABSENT:
            data = self._parent.pread(count, offset) if self._parent is not None else b""
            return data if len(data) == count else data.ljust(count, b"\0")
        data = part.file.pread(count, place)
        if len(data) != count:
            raise incomplete(self._name, part.file, place + count)
        return data


def open_vmdk(image: Image, open_parent: Callable[[Image], Disk]) -> Disk:
    """The disk in a VMDK, which takes over the files it needs; ``open_parent`` opens what it is over.

    Raises:
        DiskError: damaged or incomplete, or an extent or the parent is absent or another.
        UnsupportedError: of a kind that is not read.
    """
    text, header = read_descriptor(image)
    below = parent_of(image, text)
    text = own_extent(image, text, header)
    check_extents(image, text)
    if header is not None and header.compressed:
        return _optimized(image, text, header)
    files = [image.file if header is not None else _file(image, text, line) for line in text.extents]
    if below is None and all(line.type in FLAT_TYPES for line in text.extents):
        flat = _flat(text, files)
        image.files.release(flat)
        return flat
    parts = [_part(image, line, file) for line, file in zip(text.extents, files, strict=True)]
    with ExitStack() as stack:
        parent = None
        if below is not None:
            parent = open_parent(below)
            stack.callback(parent.close)
        disk = VmdkDisk(image.path, parts, parent)
        for file in files:
            if file is not None:
                image.files.release(file)
        stack.pop_all()
    return disk


def _flat(text: Descriptor, files: Sequence[FileDisk | None]) -> FileDisk:
    extents = [
        Extent(file if isinstance(file, RawDisk) else None, line.offset * SECTOR, line.sectors * SECTOR)
        for file, line in zip(files, text.extents, strict=True)
    ]
    only = extents[0].disk
    return only if only is not None and tuple(extents) == only.extents else ExtentDisk(extents)


def _optimized(image: Image, text: Descriptor, header: SparseHeader) -> Disk:
    if text.has_parent:
        raise DiskError(f"{image.path} is a compressed delta of another disk", "consolidate the disk")
    check_size(image.path, image, text.extents[0].sectors, header.capacity, header.grain)
    disk = OptimizedDisk(image.file, image.path, header, text.capacity)
    image.files.release(image.file)
    return disk


def _file(image: Image, text: Descriptor, line: ExtentLine) -> RawDisk | None:
    return None if line.type == "ZERO" else open_extent(image, text, line)


def _part(image: Image, line: ExtentLine, file: FileDisk | None) -> Part:
    size = line.sectors * SECTOR
    if file is None or line.type in FLAT_TYPES:
        return Part(size, file, line.offset * SECTOR)
    name = file.path if isinstance(file, RawDisk) else image.path
    extent = sparse_extent(file, name)
    check_size(name, image, line.sectors, extent.capacity, extent.grain)
    return Part(size, file, grains=GrainTables(file, name, extent))
