"""From a file's bytes to the disk's: extent trees and block maps.

Formats: kernel ``Documentation/filesystems/ext4/ifork.rst``. libext2fs has iterators for both, which call
back for every block and follow a tree without the checks of order and bounds that keep a hostile one finite.
So they are walked here, and libext2fs verifies the checksums.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Iterator
from typing import NamedTuple

from converters.errors import FilesystemError

EXTENT_MAGIC = 0xF30A
_HEADER = struct.Struct("<HHHH4x")
_EXTENT = struct.Struct("<IHHI")
_INDEX = struct.Struct("<IIH2x")
_NODE = 12
"""Bytes of a header and of each entry."""
_DEEPEST = 5
_LONGEST = 32768
"""Blocks of one extent; a greater length marks that many less 32768 blocks that were never written."""
_DIRECT = 12


class Run(NamedTuple):
    """``blocks`` blocks of a file that lie side by side on the disk."""

    logical: int
    physical: int
    blocks: int


ReadBlock = Callable[[int], bytes]
"""The bytes of a block of metadata by its number."""
Verify = Callable[[bytes], bool]
"""Whether the checksum of a block of an extent tree is right."""


def extents(root: bytes, read_block: ReadBlock, verify: Verify) -> Iterator[Run]:
    """The written runs of the extent tree whose root is ``i_block``, in order; unwritten ones are holes.

    Raises:
        FilesystemError: the tree is damaged; the text says how, not where.
    """
    magic, _, _, depth = _HEADER.unpack_from(root)
    if magic != EXTENT_MAGIC or depth > _DEEPEST:
        raise FilesystemError("the root of its extents is damaged")
    return _extent_node(root, depth, 0, 1 << 32, read_block, verify)


def only_extent(root: bytes) -> Run | None:
    """The run of a file that is one written extent from its first block on, as most are; None for others."""
    magic, entries, most, depth = _HEADER.unpack_from(root)
    if magic != EXTENT_MAGIC or entries != 1 or depth or _NODE + most * _NODE > len(root) or not most:
        return None
    logical, count, high, low = _EXTENT.unpack_from(root, _NODE)
    return Run(0, low | high << 32, count) if not logical and 0 < count <= _LONGEST else None


def _extent_node(
    node: bytes, depth: int, first: int, end: int, read_block: ReadBlock, verify: Verify
) -> Iterator[Run]:
    """Runs of a node that covers the blocks from ``first`` up to ``end`` and nothing else."""
    magic, entries, most, level = _HEADER.unpack_from(node)
    if magic != EXTENT_MAGIC or level != depth or entries > most or _NODE + most * _NODE > len(node):
        raise FilesystemError("a node of its extents is damaged")
    if depth == 0:
        yield from _extent_leaf(node, entries, first, end)
        return
    children = [_INDEX.unpack_from(node, _NODE + i * _NODE) for i in range(entries)]
    if not children:
        raise FilesystemError("an index node of its extents is empty")
    ends = [*(logical for logical, _, _ in children[1:]), end]
    for (logical, low, high), stop in zip(children, ends, strict=True):
        if not first <= logical < stop <= end:
            raise FilesystemError(f"its extents are out of order at block {logical}")
        block = read_block(low | high << 32)
        if not verify(block):
            raise FilesystemError(f"wrong checksum in its extents at disk block {low | high << 32}")
        if not _HEADER.unpack_from(block)[1]:
            raise FilesystemError("a leaf of its extents is empty")
        yield from _extent_node(block, depth - 1, logical, stop, read_block, verify)


def _extent_leaf(node: bytes, entries: int, first: int, end: int) -> Iterator[Run]:
    for i in range(entries):
        logical, count, high, low = _EXTENT.unpack_from(node, _NODE + i * _NODE)
        is_written = count <= _LONGEST
        if not is_written:
            count -= _LONGEST
        if not count or logical < first or logical + count > end:
            raise FilesystemError(f"its extents overlap or are out of order at block {logical}")
        first = logical + count
        if is_written:
            yield Run(logical, low | high << 32, count)


def block_map(root: bytes, blocks: int, block_size: int, read_block: ReadBlock) -> Iterator[Run]:
    """The runs of the first ``blocks`` blocks of a file whose ``i_block`` holds block numbers.

    Twelve direct ones, then the roots of trees one, two and three levels deep. Number 0 is a hole.
    """
    pointers = array("I", root)
    yield from _pointed(pointers[:_DIRECT], 0, blocks)
    first, span = _DIRECT, block_size // pointers.itemsize
    for depth, pointer in enumerate(pointers[_DIRECT:]):
        yield from _indirect(pointer, depth, first, blocks, block_size, read_block)
        first += span ** (depth + 1)


def _indirect(
    pointer: int, depth: int, first: int, blocks: int, block_size: int, read_block: ReadBlock
) -> Iterator[Run]:
    if not pointer or first >= blocks:
        return
    block = read_block(pointer)
    if block.count(0) == len(block):
        return
    pointers = array("I", block)
    if depth == 0:
        yield from _pointed(pointers, first, blocks)
        return
    span = len(pointers) ** depth
    for i, child in enumerate(pointers):
        yield from _indirect(child, depth - 1, first + i * span, blocks, block_size, read_block)


def _pointed(pointers: array[int], first: int, blocks: int) -> Iterator[Run]:
    """Runs of consecutive numbers; ``first`` is the block of the file that the first number is for."""
    count = min(len(pointers), blocks - first)
    start, previous = 0, 0
    for i in range(count):
        pointer = pointers[i]
        if not previous or pointer != previous + 1:
            if previous:
                yield Run(first + start, pointers[start], i - start)
            start = i
        previous = pointer
    if previous:
        yield Run(first + start, pointers[start], count - start)
