"""Virtual hard disks (VHD, QEMU's ``vpc``): fixed, dynamic and differencing.

Read here because QEMU takes the sectors of a block that its bitmap leaves out for data, knows no
differencing disks, and reads what is missing at the end of a file as zeros. The format is that of Microsoft's
"Virtual Hard Disk Image Format Specification", version 1.0.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from uuid import UUID

from converters.disks.base import Disk
from converters.disks.blocks import Block, BlockDisk, Nothing, incomplete
from converters.disks.raw import Extent, ExtentDisk
from converters.disks.references import Image, open_reference
from converters.disks.tables import numbers
from converters.errors import DiskError, UnsupportedError

_FOOTER = struct.Struct(">8sIIQI4sI4sQQHBBII16s")
SECTOR = 512
_COOKIE = b"conectix"
_FIXED, _DYNAMIC, _DIFFERENCING = 2, 3, 4
_DYNAMIC_HEADER = struct.Struct(">8sQQIIII16sII512s")
_DYNAMIC_COOKIE = b"cxsparse"
_DYNAMIC_BYTES = 1024
_LOCATOR = struct.Struct(">4sIIIQ")
_LOCATORS = 8
_LONGEST_NAME = 4096
_LOCATOR_ENCODINGS = {b"W2ru": "utf-16-le", b"W2ku": "utf-16-le", b"MacX": "utf-8"}
_ABSENT = 0xFFFFFFFF
_MOST_BLOCKS = 1 << 26
_LARGEST_GEOMETRY = 65535 * 16 * 255
"""Sectors; a geometry of this size stands for any larger disk."""
_SIZED_BY_SIZE = (b"win ", b"d2v", b"qem2", b"tap\0", b"CTXS", b"vbox", b"wa\0\0")
"""What creators write whose guests see the size: Hyper-V, Disk2vhd, QEMU, XenServer, VirtualBox, Azure. Those
of Virtual PC, Virtual Server and all others see what the geometry says (QEMU's ``block/vpc.c``)."""


@dataclass(frozen=True, slots=True)
class VhdFooter:
    """What an image says of itself."""

    kind: int
    header_offset: int
    """Byte of the dynamic header."""
    size: int
    """Bytes that the guest sees."""
    uuid: bytes


@dataclass(frozen=True, slots=True)
class DynamicHeader:
    """Where the blocks of a dynamic or differencing image are listed, and its parent."""

    table_offset: int
    entries: int
    block_size: int
    parent: bytes
    """UUID."""
    parent_names: tuple[bytes, ...]
    """Paths, in UTF-8, as they stand in the image."""


class VhdMap:
    """Where the blocks are: 4 bytes of memory each."""

    sector = SECTOR
    sectors_from_high_bit = True

    def __init__(self, block_size: int, entries: array[int]) -> None:
        self.block_size = block_size
        self._entries = entries
        self._bitmap_bytes = -(-block_size // (SECTOR * 8 * SECTOR)) * SECTOR

    def block(self, number: int) -> Block | Nothing:
        """Where a block is."""
        entry = self._entries[number]
        if entry == _ABSENT:
            return Nothing.ABSENT
        return Block(entry * SECTOR + self._bitmap_bytes, entry * SECTOR)

    def end(self) -> int:
        """Byte of the file up to which blocks reach."""
        highest = max((entry for entry in self._entries if entry != _ABSENT), default=None)
        return 0 if highest is None else highest * SECTOR + self._bitmap_bytes + self.block_size


def open_vhd(image: Image, open_parent: Callable[[Image], Disk]) -> Disk:
    """The disk in a VHD, which takes over the image's file; ``open_parent`` opens what it is over.

    Raises:
        DiskError: damaged or incomplete, or its parent is absent or another.
        UnsupportedError: of an unknown type.
    """
    footer = read_footer(image)
    if footer.kind == _FIXED:
        return _fixed(image, footer)
    header = _read_dynamic(image, footer)
    entries = numbers(image.file, header.table_offset, header.entries, "I", ">")
    if len(entries) != header.entries:
        raise incomplete(image.path, image.file, header.table_offset + header.entries * entries.itemsize)
    blocks = VhdMap(header.block_size, entries)
    if blocks.end() > image.file.size:
        raise incomplete(image.path, image.file, blocks.end())
    with ExitStack() as stack:
        parent = None
        if footer.kind == _DIFFERENCING:
            parent = open_parent(_parent(image, header))
            stack.callback(parent.close)
        disk = BlockDisk(image.file, image.path, footer.size, blocks, parent)
        image.files.release(image.file)
        stack.pop_all()
    return disk


def size_and_parent(image: Image) -> tuple[int, Image | None]:
    """Bytes that the guest sees, and what the image is over, if it is.

    Raises:
        DiskError: damaged, or its parent is absent or another.
        UnsupportedError: of an unknown type.
    """
    footer = read_footer(image)
    if footer.kind != _DIFFERENCING:
        return footer.size, None
    return footer.size, _parent(image, _read_dynamic(image, footer))


def _fixed(image: Image, footer: VhdFooter) -> Disk:
    if footer.size + SECTOR - 1 > image.file.size:  # old versions of Virtual PC wrote footers of 511 bytes
        raise incomplete(image.path, image.file, footer.size + SECTOR)
    extents, left = [], footer.size
    for extent in image.file.extents:
        size = min(left, extent.size)
        left -= size
        extents.append(Extent(extent.disk, extent.offset, size))
    image.files.release(image.file)
    return ExtentDisk(extents)


def read_footer(image: Image) -> VhdFooter:
    """The footer, or where that is damaged the copy of it at the start.

    Raises:
        DiskError: both are damaged.
        UnsupportedError: of an unknown type.
    """
    size = image.file.size
    for place in (size - SECTOR, size - SECTOR + 1, 0):
        data = image.file.pread(SECTOR, max(0, place))
        if len(data) >= SECTOR - 1 and data.startswith(_COOKIE) and _sum(data, 64) == _number(data, 64):
            break
    else:
        raise DiskError(f"{image.path}: the footer of the VHD is damaged", "copy or export the disk again")
    fields = _FOOTER.unpack_from(data)
    header_offset, creator, current = fields[3], fields[5], fields[9]
    cylinders, heads, sectors, kind = fields[10:14]
    if kind not in (_FIXED, _DYNAMIC, _DIFFERENCING):
        raise UnsupportedError(f"{image.path}: a VHD of type {kind}", "convert it to a dynamic one")
    geometry = cylinders * heads * sectors
    if not creator.startswith(_SIZED_BY_SIZE) and 0 < geometry < _LARGEST_GEOMETRY:
        current = geometry * SECTOR
    if not current:
        raise DiskError(f"{image.path}: a VHD of size 0", "copy or export the disk again")
    return VhdFooter(kind, header_offset, current, fields[15])


def _read_dynamic(image: Image, footer: VhdFooter) -> DynamicHeader:
    data = image.file.pread(_DYNAMIC_BYTES, footer.header_offset)
    intact = len(data) == _DYNAMIC_BYTES and _sum(data, 36) == _number(data, 36)
    if not intact or not data.startswith(_DYNAMIC_COOKIE):
        raise DiskError(f"{image.path}: the dynamic header of the VHD is damaged", "copy the disk again")
    _, _, table, _, entries, block_size, _, parent, _, _, name = _DYNAMIC_HEADER.unpack_from(data)
    if (
        block_size < SECTOR
        or block_size & (block_size - 1)
        or not -(-footer.size // block_size) <= entries <= _MOST_BLOCKS
    ):
        raise DiskError(
            f"{image.path}: a VHD of {footer.size} bytes in {entries} blocks of {block_size}",
            "copy or export the disk again",
        )
    told = name.decode("utf-16-be", "replace").partition("\0")[0]
    return DynamicHeader(table, entries, block_size, parent, (*_located(image, data), told.encode()))


def _located(image: Image, header: bytes) -> list[bytes]:
    """The paths of the parent locators."""
    names = []
    for number in range(_LOCATORS):
        platform, _, length, _, offset = _LOCATOR.unpack_from(header, 576 + number * _LOCATOR.size)
        if (encoding := _LOCATOR_ENCODINGS.get(platform)) is None or not 0 < length <= _LONGEST_NAME:
            continue
        text = image.file.pread(length, offset).decode(encoding, "replace").partition("\0")[0]
        names.append(text.replace("\\", "/").encode())
    return names


def _parent(image: Image, header: DynamicHeader) -> Image:
    parent = image.named(open_reference(image, "parent", header.parent_names, moved=True))
    if read_footer(parent).uuid != header.parent:
        raise DiskError(
            f"{parent.path} is not the parent that {image.path} was made over: that has the UUID "
            f"{UUID(bytes=header.parent)}",
            "copy the whole chain of disks at one time",
        )
    return parent


def _sum(data: bytes, place: int) -> int:
    """The checksum of a footer or header, in which it stands at ``place`` and counts as zeros."""
    return ~(sum(data) - sum(data[place : place + 4])) & 0xFFFFFFFF


def _number(data: bytes, place: int) -> int:
    return int.from_bytes(data[place : place + 4], "big")
