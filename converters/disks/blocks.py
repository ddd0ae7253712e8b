"""Disk images in blocks of one size: VHD, VDI and VHDX, alone or as differences to a parent."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from converters.disks.base import Disk
from converters.disks.raw import FileDisk
from converters.disks.stretches import Stretch, shifted
from converters.errors import DiskError

_KEPT = 256
"""Bitmaps kept; of usual size 512 bytes each."""


class Nothing(Enum):
    """What a block can be that has no bytes in the file."""

    ABSENT = "absent"
    """The parent's; zeros where there is none."""
    ZERO = "zero"


@dataclass(frozen=True, slots=True)
class Block:
    """A block whose bytes are in the file."""

    place: int
    """Byte of the file where they begin."""
    bitmap: int | None = None
    """Byte of the file where the bitmap of its sectors begins; None: all of them count."""


class BlockMap(Protocol):
    """Where the blocks of an image are."""

    @property
    def block_size(self) -> int:
        """Bytes of a block."""

    @property
    def sector(self) -> int:
        """Bytes that a bit of a bitmap stands for."""

    @property
    def sectors_from_high_bit(self) -> bool:
        """Whether the first sector is the high bit of a bitmap's byte, or the low one."""

    def block(self, number: int) -> Block | Nothing:
        """Where a block is.

        Raises:
            DiskError: the image is damaged there.
        """


class BlockDisk:
    """The disk in an image of blocks; thread-safe."""

    def __init__(self, file: FileDisk, name: str, size: int, blocks: BlockMap, parent: Disk | None) -> None:
        """Takes over ``file`` and ``parent``: closing this closes them. ``size`` is the disk's, in bytes."""
        self._file = file
        self._name = name
        self._size = size
        self._blocks = blocks
        self._parent = parent
        self._lock = threading.Lock()
        self._bitmaps: OrderedDict[int, bytes | None] = OrderedDict()

    @property
    def size(self) -> int:
        """Size in bytes."""
        return self._size

    def pread(self, length: int, offset: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``; shorter only at the end of the disk.

        Raises:
            DiskError: the image or its parent is damaged there.
        """
        end, size = min(offset + length, self._size), self._blocks.block_size
        parts = []
        while offset < end:
            number, within = divmod(offset, size)
            count = min(end - offset, size - within)
            match self._blocks.block(number):
                case Nothing.ZERO:
                    parts.append(bytes(count))
                case Nothing.ABSENT:
                    parts.append(self._below(count, offset))
                case Block(place, None):
                    parts.append(self._stored(count, place + within))
                case Block(place, int(bitmap)):
                    parts.extend(self._mixed(number, count, offset, place + within, bitmap))
            offset += count
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def stretches(self, start: int, end: int) -> Iterator[Stretch]:
        """See ``Sparse``: the blocks that are in the file, and what the parent has in place of others."""
        size = self._blocks.block_size
        while start < end:
            number, within = divmod(start, size)
            stop = min(end, start + size - within)
            match self._blocks.block(number):
                case Nothing.ZERO:
                    pass
                case Nothing.ABSENT:
                    if self._parent is not None:
                        yield from shifted(self._parent, start, stop - start, start)
                case Block():
                    yield start, stop
            start = stop

    def close(self) -> None:
        """Close the file and the parent; a second call does nothing."""
        self._file.close()
        if self._parent is not None:
            self._parent.close()

    def _below(self, count: int, offset: int) -> bytes:
        """What the parent holds; zeros behind its end."""
        data = self._parent.pread(count, offset) if self._parent is not None else b""
        return data if len(data) == count else data.ljust(count, b"\0")

    def _stored(self, count: int, place: int) -> bytes:
        data = self._file.pread(count, place)
        if len(data) != count:
            raise incomplete(self._name, self._file, place + count)
        return data

    def _mixed(self, number: int, count: int, offset: int, place: int, bitmap: int) -> Iterator[bytes]:
        """The pieces of a part of a block, each of the file or of what is below it."""
        bits = self._bitmap(number, bitmap)
        if bits is None:
            yield self._stored(count, place)
            return
        base = offset % self._blocks.block_size
        for stored, start, stop in _runs(bits, self._blocks.sector, base, base + count):
            if stored:
                yield self._stored(stop - start, place + start - base)
            else:
                yield self._below(stop - start, offset + start - base)

    def _bitmap(self, number: int, place: int) -> bytes | None:
        """For each sector of a block ``1`` or ``0``, as text; None where all are ``1``."""
        with self._lock:
            if number in self._bitmaps:
                self._bitmaps.move_to_end(number)
                return self._bitmaps[number]
        length = -(-self._blocks.block_size // (self._blocks.sector * 8))
        data = self._stored(length, place)
        bits = None
        if data.strip(b"\xff"):
            order = data if self._blocks.sectors_from_high_bit else data[::-1]
            text = f"{int.from_bytes(order, 'big'):0{length * 8}b}".encode()
            bits = text if self._blocks.sectors_from_high_bit else text[::-1]
        with self._lock:
            self._bitmaps[number] = bits
            if len(self._bitmaps) > _KEPT:
                self._bitmaps.popitem(last=False)
        return bits


def _runs(bits: bytes, size: int, start: int, end: int) -> Iterator[tuple[bool, int, int]]:
    """Stretches of bytes of a block from ``start`` to ``end`` whose sectors are alike: stored, from, to."""
    while start < end:
        sector = start // size
        stored = bits[sector] == ord("1")
        change = bits.find(b"0" if stored else b"1", sector)
        stop = end if change < 0 else min(end, change * size)
        yield stored, start, stop
        start = stop


def incomplete(name: str, file: FileDisk, place: int) -> DiskError:
    """The error of an image that should have data up to byte ``place``."""
    return DiskError(
        f"{name} is incomplete: it has {file.size} bytes, and its tables speak of data up to byte {place}",
        "copy or export the disk again",
    )
