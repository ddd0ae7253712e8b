"""From a fork's content to blocks of the disk: extent lists and their trees (``xfs_bmap_btree.c``).

Numbers of blocks are as extents count them: the group in the high bits (``Superblock.block_offset``).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from converters.errors import FilesystemError
from converters.filesystems.xfs import checksum
from converters.filesystems.xfs.inode import Fork, Format
from converters.filesystems.xfs.superblock import Superblock

_EXTENT = struct.Struct(">QQ")
_COUNT_BITS, _BLOCK_BITS = 21, 52
_UNWRITTEN = 1 << 63
_DEEPEST = 9
"""Levels of the tallest tree the kernel makes (``XFS_BM_MAXLEVELS``)."""
_BLOCK = struct.Struct(">4sHH")
"""Magic, level, entries."""
_SHORT_HEADER, _LONG_HEADER = 24, 72
_OWNER, _CHECKSUM = slice(56, 64), 64
_UUID = slice(40, 56)
_ROOT_HEADER = 4
_END = 1 << 54


class Run(NamedTuple):
    """``blocks`` blocks of a fork that lie side by side on the disk."""

    logical: int
    physical: int
    blocks: int
    is_written: bool
    """Whether they hold data; else they are reserved, and read as zeros."""


ReadBlock = Callable[[int], bytes]
"""The bytes of a block by its number."""


def runs(fork: Fork, number: int, superblock: Superblock, read_block: ReadBlock) -> Iterator[Run]:
    """The runs of a fork of the inode ``number``, in order, inside the file system.

    Raises:
        FilesystemError: damaged.
    """
    match fork.format:
        case Format.EXTENTS:
            found = _list(fork, number)
        case Format.BTREE:
            found = _tree(fork, number, superblock, read_block)
        case _:
            raise FilesystemError(f"inode {number} holds no extents")
    end = count = 0
    for run in found:
        count += 1
        if run.logical < end or not run.blocks:
            raise FilesystemError(f"inode {number}: its extents overlap or are out of order at {run.logical}")
        superblock.block_offset(run.physical)
        # An extent does not reach into the next group, so its last block lies where counting on leads.
        superblock.block_offset(run.physical + run.blocks - 1)
        if run.physical >> superblock.group_bits != run.physical + run.blocks - 1 >> superblock.group_bits:
            raise FilesystemError(f"inode {number}: an extent lies in two groups")
        end = run.logical + run.blocks
        yield run
    if count != fork.extents:
        raise FilesystemError(f"inode {number} has {count} extents, and says that it has {fork.extents}")


def _list(fork: Fork, number: int) -> Iterator[Run]:
    if fork.extents * _EXTENT.size > len(fork.area):
        raise FilesystemError(f"inode {number}: {fork.extents} extents do not fit into it")
    return _extents(fork.area, 0, fork.extents)


def _extents(data: bytes, offset: int, count: int) -> Iterator[Run]:
    for place in range(offset, offset + count * _EXTENT.size, _EXTENT.size):
        high, low = _EXTENT.unpack_from(data, place)
        yield Run(
            (high & _UNWRITTEN - 1) >> 9,
            (high & 0x1FF) << _BLOCK_BITS - 9 | low >> _COUNT_BITS,
            low & (1 << _COUNT_BITS) - 1,
            not high & _UNWRITTEN,
        )


def _tree(fork: Fork, number: int, superblock: Superblock, read_block: ReadBlock) -> Iterator[Run]:
    """The tree whose root is in the inode: level and count, then the first keys, then the blocks' numbers."""
    level, entries = struct.unpack_from(">HH", fork.area)
    most = (len(fork.area) - _ROOT_HEADER) // 16
    if not 0 < level <= _DEEPEST or not 0 < entries <= most:
        raise FilesystemError(f"inode {number}: the root of its extents is damaged")
    yield from _children(
        fork.area, _ROOT_HEADER, entries, most, (level, number), _END, superblock, read_block
    )


def _children(
    node: bytes,
    header: int,
    entries: int,
    most: int,
    place: tuple[int, int],
    end: int,
    superblock: Superblock,
    read_block: ReadBlock,
) -> Iterator[Run]:
    """What lies below a node, whose level and inode ``place`` gives; all of it before block ``end``."""
    level, number = place
    keys = struct.unpack_from(f">{entries}Q", node, header)
    blocks = struct.unpack_from(f">{entries}Q", node, header + 8 * most)
    for first, stop, block in zip(keys, (*keys[1:], end), blocks, strict=True):
        if not first < stop <= end:
            raise FilesystemError(f"inode {number}: its extents are out of order at block {first}")
        yield from _node(read_block(block), level - 1, number, (first, stop), superblock, read_block)


def _node(
    block: bytes,
    level: int,
    number: int,
    covers: tuple[int, int],
    superblock: Superblock,
    read_block: ReadBlock,
) -> Iterator[Run]:
    magic, found, entries = _BLOCK.unpack_from(block)
    header = _LONG_HEADER if superblock.has_checksums else _SHORT_HEADER
    most = (len(block) - header) // 16
    sound = magic == (b"BMA3" if superblock.has_checksums else b"BMAP") and found == level
    if sound and superblock.has_checksums:
        sound = (
            int.from_bytes(block[_OWNER], "big") == number
            and block[_UUID] == superblock.uuid
            and checksum.is_right(block, _CHECKSUM)
        )
    if not sound or not 0 < entries <= most:
        raise FilesystemError(f"inode {number}: a node of its extents is damaged")
    if level:
        place = (level, number)
        yield from _children(block, header, entries, most, place, covers[1], superblock, read_block)
        return
    for run in _extents(block, header, entries):
        if not covers[0] <= run.logical < run.logical + run.blocks <= covers[1]:
            raise FilesystemError(f"inode {number}: its extents are out of order at block {run.logical}")
        yield run
