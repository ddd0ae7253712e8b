"""Blocks that hold the file system itself, which no file may claim (``fs/ext4/block_validity.c``)."""

from __future__ import annotations

import ctypes
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from ctypes import c_uint32, c_uint64, c_void_p

from converters.filesystems.ext.superblock import Superblock

Zone = tuple[int, int]
"""First block, and the block after the last."""


class SystemZones:
    """Where superblocks, descriptors, bitmaps, inode tables and the journal lie."""

    def __init__(self, zones: Iterable[Zone]) -> None:
        starts: list[int] = []
        ends: list[int] = []
        for start, end in sorted(zones):
            if ends and start <= ends[-1]:
                ends[-1] = max(ends[-1], end)
            else:
                starts.append(start)
                ends.append(end)
        self._starts, self._ends = starts, ends

    def meet(self, block: int, count: int) -> bool:
        """Whether ``count`` blocks from ``block`` on overlap any of them."""
        before = bisect_right(self._starts, block + count - 1) - 1
        return before >= 0 and self._ends[before] > block


def group_zones(library: ctypes.PyDLL, handle: c_void_p, superblock: Superblock) -> Iterator[Zone]:
    """The zones of all block groups: neighbours of a flexible group lie side by side."""
    table = -(-superblock.inodes_per_group * superblock.inode_size // superblock.block_size)
    first_copies, old = c_uint64(), c_uint64()
    new, used = c_uint64(), c_uint32()
    copies = [ctypes.byref(value) for value in (first_copies, old, new, used)]
    descriptors = superblock.descriptor_blocks
    for group in range(superblock.groups):
        for bitmap in (library.ext2fs_block_bitmap_loc, library.ext2fs_inode_bitmap_loc):
            block = bitmap(handle, group)
            yield block, block + 1
        block = library.ext2fs_inode_table_loc(handle, group)
        yield block, block + table
        # Linux protects copies of the superblock in the first groups and where a flexible group begins.
        if group >= _FIRST_GROUPS and group % superblock.flexible_groups:
            continue
        library.ext2fs_super_and_bgd_loc2(handle, group, *copies)
        # Without any, libext2fs gives 0: block 0 is the first superblock's or nobody's.
        if first_copies.value or not group:
            yield first_copies.value, first_copies.value + 1
        if old.value:
            yield old.value, old.value + descriptors
        if new.value:
            yield new.value, new.value + 1


_FIRST_GROUPS = 5
