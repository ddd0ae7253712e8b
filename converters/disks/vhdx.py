"""Differencing VHDX images; QEMU reads the others.

The format is that of Microsoft's [MS-VHDX], version 8.0.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from contextlib import ExitStack

from converters.disks.base import Disk
from converters.disks.blocks import Block, BlockDisk, Nothing, incomplete
from converters.disks.references import Image, open_reference
from converters.disks.tables import numbers
from converters.disks.vhdx_header import VhdxHeader, read_header
from converters.errors import DiskError, UnsupportedError

_CHUNK_SECTORS = 1 << 23
"""Sectors that one bitmap block of 1 MiB covers."""
_MOST_BLOCKS = 1 << 26
_PLACE = ~((1 << 20) - 1)
_NAMES = ("relative_path", "absolute_win32_path", "volume_path")


class VhdxMap:
    """Where the blocks are: 8 bytes of memory each."""

    sectors_from_high_bit = False

    def __init__(self, header: VhdxHeader, ratio: int, entries: array[int], name: str) -> None:
        self.block_size = header.block_size
        self.sector = header.sector
        self._ratio = ratio
        self._entries = entries
        self._name = name

    def block(self, number: int) -> Block | Nothing:
        """Where a block is.

        Raises:
            DiskError: in a state that is not defined.
        """
        chunk, within = divmod(number, self._ratio)
        entry = self._entries[chunk * (self._ratio + 1) + within]
        match entry & 7:
            case 0 | 1:  # not present, undefined
                return Nothing.ABSENT
            case 2 | 3:  # zero, unmapped
                return Nothing.ZERO
            case 6:
                return Block(entry & _PLACE)
            case 7:
                return Block(
                    entry & _PLACE, self._bitmap(chunk) + within * (self.block_size // self.sector // 8)
                )
            case state:
                raise DiskError(f"{self._name}: block {number} is in the undefined state {state}")

    def _bitmap(self, chunk: int) -> int:
        entry = self._entries[chunk * (self._ratio + 1) + self._ratio]
        if entry & 7 != 6:
            raise DiskError(f"{self._name}: the bitmap of chunk {chunk} is missing")
        return entry & _PLACE

    def end(self) -> int:
        """Byte of the file up to which blocks reach."""
        places = (
            (entry & _PLACE) + (1 << 20 if index % (self._ratio + 1) == self._ratio else self.block_size)
            for index, entry in enumerate(self._entries)
            if entry & 7 >= 6
        )
        return max(places, default=0)


def open_differencing(image: Image, header: VhdxHeader, open_parent: Callable[[Image], Disk]) -> Disk:
    """The disk in a differencing VHDX, which takes over the image's file.

    Raises:
        DiskError: damaged, incomplete, or its parent is absent or was changed.
        UnsupportedError: its log must be replayed first.
    """
    if header.dirty:
        raise UnsupportedError(
            f"{image.path} was not closed: its log must be replayed first",
            "start and stop its VM, or attach it once in Windows (Mount-VHD)",
        )
    ratio = _CHUNK_SECTORS * header.sector // header.block_size
    blocks = -(-header.size // header.block_size)
    count = -(-blocks // ratio) * (ratio + 1)
    if blocks > _MOST_BLOCKS:
        raise DiskError(f"{image.path}: a VHDX of {header.size} bytes", "copy or export the disk again")
    entries = numbers(image.file, header.bat_offset, count, "Q")
    if len(entries) != count:
        raise incomplete(image.path, image.file, header.bat_offset + count * entries.itemsize)
    blockmap = VhdxMap(header, ratio, entries, image.path)
    if blockmap.end() > image.file.size:
        raise incomplete(image.path, image.file, blockmap.end())
    with ExitStack() as stack:
        parent = open_parent(_parent(image, header))
        stack.callback(parent.close)
        disk = BlockDisk(image.file, image.path, header.size, blockmap, parent)
        image.files.release(image.file)
        stack.pop_all()
    return disk


def size_and_parent(image: Image) -> tuple[int, Image | None]:
    """Bytes that the guest sees, and what the image is over, if it is.

    Raises:
        DiskError: damaged, or its parent is absent or was changed.
    """
    header = read_header(image)
    return header.size, _parent(image, header) if header.differencing else None


def _parent(image: Image, header: VhdxHeader) -> Image:
    told = dict(header.locator)
    names = tuple(told[key].replace("\\", "/").encode() for key in _NAMES if told.get(key))
    parent = image.named(open_reference(image, "parent", names, moved=True))
    found = read_header(parent)
    known = {told.get(key, "").strip("{}").lower() for key in ("parent_linkage", "parent_linkage2")}
    if str(found.data_write) not in known:
        raise DiskError(
            f"{image.path} was made over another state of its parent {parent.path}",
            "copy the whole chain of disks at one time",
        )
    return parent
