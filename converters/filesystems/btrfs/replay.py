"""Replay of btrfs' log in memory: what fsync(2) made durable since the last transaction.

Each subvolume may have a log, a tree of the inodes that were synchronised, whole or in part. The kernel puts
it into the subvolume when it mounts (``fs/btrfs/tree-log.c``), in three passes: inodes and what was deleted;
names of directories; then references, attributes and data. Here the same is done to trees edited in memory.
Whatever the kernel would fail on is an error here, too.

One thing nobody can tell: the kernel gives some directories the time of the replay. They keep their own.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator

from converters.errors import FilesystemError
from converters.filesystems.btrfs import items
from converters.filesystems.btrfs.edited import EditedTree
from converters.filesystems.btrfs.pieces import drop
from converters.filesystems.btrfs.replay_names import NameReplay, entries
from converters.filesystems.btrfs.sums import Sums
from converters.filesystems.btrfs.tree import LAST, Blocks, Item, Pointer, Tree

_LOGS = LAST - 5
"""The object of the logs of all subvolumes (``BTRFS_TREE_LOG_OBJECTID``, -6)."""
_GENERATION, _SIZE, _LINKS, _MODE = slice(0, 8), slice(16, 24), slice(40, 44), slice(52, 56)
"""Fields of an inode (``struct btrfs_inode_item``)."""


def logs(blocks: Blocks, root: Pointer) -> Iterator[tuple[int, Tree]]:
    """The log of each subvolume that has one, with the subvolume's number."""
    low, high = (_LOGS, items.ROOT_ITEM, 0), (_LOGS, items.ROOT_ITEM, LAST)
    for item in Tree(blocks, root).items(low, high):
        yield item.offset, Tree(blocks, items.root(item).pointer)


class Replay:
    """Puts one log into the tree of its subvolume."""

    def __init__(self, log: Tree, tree: EditedTree, sums: Sums, *, sector: int, no_holes: bool) -> None:
        self._log = log
        self._tree = tree
        self._names = NameReplay(log, tree)
        self._sums = sums
        self._sector = sector
        self._no_holes = no_holes

    def run(self) -> None:
        """Do it.

        Raises:
            FilesystemError: the log or the tree is damaged, or they contradict each other.
            UnsupportedError: the log is larger than memory allows, or changes subvolumes.
            DiskError: a disk cannot be read.
        """
        for item in self._relevant(items.INODE_ITEM):
            self._inode(item)
        for item in self._relevant(items.DIR_INDEX):
            self._names.entry(item)
        for item in self._relevant(items.INODE_REF, items.INODE_EXTREF, items.XATTR_ITEM, items.EXTENT_DATA):
            match item.type:
                case items.XATTR_ITEM:
                    self._tree.put(item.key, item.data)
                case items.EXTENT_DATA:
                    self._extent(item)
                case _:
                    self._names.references(item)
        self._names.count_links()

    def _relevant(self, *types: int) -> Iterator[Item]:
        """The items of the log of these types, without those of files that had no name then."""
        unnamed: int | None = None
        for item in self._log.items((0, 0, 0), (LAST, 255, LAST)):
            if item.type == items.INODE_ITEM:
                if len(item.data) < _MODE.stop:
                    raise FilesystemError(f"inode {item.objectid} in the log of btrfs is damaged")
                unnamed = item.objectid if not _number(item.data, _LINKS) else None
            if item.type in types and item.objectid != unnamed:
                yield item

    def _inode(self, item: Item) -> None:
        self._delete_attributes(item.objectid)
        mode = _number(item.data, _MODE)
        if stat.S_ISDIR(mode):
            self._names.delete_entries(item.objectid)
        self._overwrite_inode(item)
        if stat.S_ISREG(mode):
            # Reserved space behind the end is logged, too: what is there now is older.
            size = _number(self._tree.get(item.key) or b"", _SIZE)
            drop(self._tree, item.objectid, -(-size // self._sector) * self._sector, LAST)
        self._names.touch(item.objectid)

    def _overwrite_inode(self, item: Item) -> None:
        existing = self._tree.get(item.key)
        if existing is not None and not _number(item.data, _GENERATION):
            # Logged only so that it exists; a size is that of data that an earlier fsync promised.
            both = stat.S_ISREG(_number(item.data, _MODE)) and stat.S_ISREG(_number(existing, _MODE))
            if both and _number(item.data, _SIZE):
                self._tree.put(item.key, existing[: _SIZE.start] + item.data[_SIZE] + existing[_SIZE.stop :])
            return
        self._tree.put(item.key, item.data)

    def _delete_attributes(self, inode: int) -> None:
        """Delete the attributes that the log does not have."""
        low, high = (inode, items.XATTR_ITEM, 0), (inode, items.XATTR_ITEM, LAST)
        for item in self._tree.items(low, high):
            logged = {one.name for one in entries(self._log, item.key)}
            stored = [*items.stored(item)]
            kept = [one for one in stored if one.name in logged]
            if not kept:
                self._tree.delete(item.key)
            elif len(kept) < len(stored):
                self._tree.put(item.key, b"".join(map(items.packed, kept)))

    def _extent(self, item: Item) -> None:
        self._names.need(item.objectid)
        extent = items.extent(item)
        end = extent.start + extent.length
        if extent.inline is not None:
            end = -(-end // self._sector) * self._sector
        elif self._tree.get(item.key) == item.data:
            return
        drop(self._tree, item.objectid, extent.start, end)
        is_hole = extent.inline is None and not extent.address
        if is_hole and self._no_holes:
            return
        self._tree.put(item.key, item.data)
        if extent.address:
            self._sums.take(self._log, extent)


def _number(data: bytes, field: slice) -> int:
    return int.from_bytes(data[field], "little")
