"""Pieces of files in a tree that is edited: dropping those in a range, as ``btrfs_drop_extents`` does."""

from __future__ import annotations

from converters.errors import FilesystemError
from converters.filesystems.btrfs import items
from converters.filesystems.btrfs.edited import EditedTree
from converters.filesystems.btrfs.items import Extent
from converters.filesystems.btrfs.tree import Item

_OFFSET, _LENGTH = slice(37, 45), slice(45, 53)
"""Where an item keeps the place in its extent and the bytes of the piece (``btrfs_file_extent_item``)."""


def drop(tree: EditedTree, inode: int, start: int, end: int) -> None:
    """Take the bytes from ``start`` to ``end`` out of an inode's pieces; those that reach beyond are cut.

    Raises:
        FilesystemError: damaged, or a part of content that is in an item: the kernel refuses that, too.
    """
    low, high = (inode, items.EXTENT_DATA, 0), (inode, items.EXTENT_DATA, max(start, end - 1))
    for item in tree.items(low, high):
        extent = items.extent(item)
        stop = extent.start + extent.length
        if stop <= start and not (extent.length == 0 and extent.start >= start):
            continue
        if extent.inline is not None and (extent.start < start or stop > end):
            raise FilesystemError(f"the log of btrfs cuts content that is in inode {inode} itself")
        tree.delete(item.key)
        if extent.start < start:
            _put(tree, item, extent, extent.start, start)
        if stop > end:
            _put(tree, item, extent, end, stop)


def _put(tree: EditedTree, item: Item, extent: Extent, start: int, end: int) -> None:
    """The part of a piece from ``start`` to ``end`` as an item of its own."""
    data = bytearray(item.data)
    if extent.address:
        offset = extent.offset + start - extent.start
        data[_OFFSET] = offset.to_bytes(8, "little")
    data[_LENGTH] = (end - start).to_bytes(8, "little")
    tree.put((item.objectid, items.EXTENT_DATA, start), bytes(data))
