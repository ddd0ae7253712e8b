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

from converters.errors import FilesystemError, UnsupportedError
from converters.filesystems.btrfs import items
from converters.filesystems.btrfs.edited import EditedTree
from converters.filesystems.btrfs.items import Stored
from converters.filesystems.btrfs.names import (
    Names,
    Reference,
    has_reference,
    reference_keys,
    references,
)
from converters.filesystems.btrfs.pieces import drop
from converters.filesystems.btrfs.sums import Sums
from converters.filesystems.btrfs.tree import LAST, Blocks, Item, Items, Key, Pointer, Tree

_LOGS = LAST - 5
"""The object of the logs of all subvolumes (``BTRFS_TREE_LOG_OBJECTID``, -6)."""
_DIR_LOG_INDEX = 72
"""A range of a directory's places for which the log is complete (``BTRFS_DIR_LOG_INDEX_KEY``)."""
_SIZE, _LINKS, _MODE = slice(16, 24), slice(40, 44), slice(52, 56)
_GENERATION = slice(0, 8)
_FILE_TYPES = {stat.S_IFREG: 1, stat.S_IFDIR: 2, stat.S_IFCHR: 3, stat.S_IFBLK: 4, stat.S_IFIFO: 5}
_FILE_TYPES |= {stat.S_IFSOCK: 6, stat.S_IFLNK: 7}
"""What entries of directories say (``BTRFS_FT_*``)."""
_DIRECTORY = 2


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
        self._names = Names(tree)
        self._sums = sums
        self._sector = sector
        self._no_holes = no_holes
        self._touched: set[int] = set()
        """Inodes whose links are counted at the end."""

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
            self._entry(item)
        for item in self._relevant(items.INODE_REF, items.INODE_EXTREF, items.XATTR_ITEM, items.EXTENT_DATA):
            match item.type:
                case items.XATTR_ITEM:
                    self._tree.put(item.key, item.data)
                case items.EXTENT_DATA:
                    self._extent(item)
                case _:
                    self._references(item)
        self._count_links()

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

    # Inodes, and what was deleted

    def _inode(self, item: Item) -> None:
        self._delete_attributes(item.objectid)
        mode = _number(item.data, _MODE)
        if stat.S_ISDIR(mode):
            self._delete_entries(item.objectid)
        self._overwrite_inode(item)
        if stat.S_ISREG(mode):
            # Reserved space behind the end is logged, too: what is there now is older.
            size = _number(self._tree.get(item.key) or b"", _SIZE)
            drop(self._tree, item.objectid, -(-size // self._sector) * self._sector, LAST)
        self._touch(item.objectid)

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
        for item in list(self._tree.items(low, high)):
            logged = {one.name for one in _entries(self._log, item.key)}
            stored = [*items.stored(item)]
            kept = [one for one in stored if one.name in logged]
            if not kept:
                self._tree.delete(item.key)
            elif len(kept) < len(stored):
                self._tree.put(item.key, b"".join(map(items.packed, kept)))

    def _delete_entries(self, directory: int) -> None:
        """Delete the entries that the log does not have, where it is complete."""
        if self._tree.get((directory, items.INODE_ITEM, 0)) is None:
            return
        low, high = (directory, _DIR_LOG_INDEX, 0), (directory, _DIR_LOG_INDEX, LAST)
        for span in self._log.items(low, high):
            if len(span.data) < 8:
                raise FilesystemError(f"the log of btrfs is damaged at directory {directory}")
            self._delete_between(directory, span.offset, int.from_bytes(span.data[:8], "little"), self._log)

    def _delete_between(self, directory: int, first: int, last: int, log: Items | None) -> None:
        low, high = (directory, items.DIR_INDEX, first), (directory, items.DIR_INDEX, last)
        for item in list(self._tree.items(low, high)):
            kept = set() if log is None else _entries(log, item.key)
            for entry in items.stored(item):
                if entry.name not in {one.name for one in kept}:
                    self._touch_entry(entry)
                    self._names.count_links(entry.location[0], 1)
                    self._names.unlink(directory, entry.location[0], entry.name)

    # Names

    def _entry(self, item: Item) -> None:
        """An entry of a directory that was synchronised."""
        directory = item.objectid
        self._need(directory)
        for entry in items.stored(item):
            exists = self._exists(entry.location)
            by_name = self._names.by_name(directory, entry.name)
            same_name = by_name is not None and self._is_same(directory, by_name, entry, exists)
            by_place = self._names.by_place(directory, item.offset, entry.name)
            same_place = by_place is not None and self._is_same(directory, by_place, entry, exists)
            if (same_name and same_place) or self._is_referred_to(directory, entry):
                continue
            if entry.location[1] != items.INODE_ITEM:
                raise UnsupportedError("the log of btrfs has the name of a subvolume")
            if not exists or not self._names.link(directory, item.offset, entry):
                continue
            self._names.refer(entry.location[0], Reference(directory, item.offset, entry.name))
            if entry.type != _DIRECTORY:
                self._touch(entry.location[0])

    def _is_same(self, directory: int, found: Stored, wanted: Stored, exists: bool) -> bool:
        """Whether an entry is there already; another one of its name goes if what is wanted exists."""
        if (found.location, found.type) == (wanted.location, wanted.type):
            return True
        if exists:
            self._drop(directory, found)
        return False

    def _is_referred_to(self, directory: int, entry: Stored) -> bool:
        """Whether the log has the entry's inode with this name: then it is added with that."""
        keys = reference_keys(entry.location[0], directory, entry.name)
        return any(has_reference(self._log, key, directory, entry.name) for key in keys)

    def _drop(self, directory: int, entry: Stored) -> None:
        self._touch_entry(entry)
        self._names.unlink(directory, entry.location[0], entry.name)

    # References

    def _references(self, item: Item) -> None:
        """The names that an inode in the log has, in the directories that are there."""
        inode = item.objectid
        found = list(references(item))
        if not found or not self._has(found[0].directory):
            return
        self._need(inode)
        for reference in found:
            if not self._has(reference.directory):
                continue
            if self._is_in_place(inode, reference):
                continue
            if inode == reference.directory:
                return  # the root's own
            self._clear_way(inode, reference)
            self._add(inode, reference)
        self._unlink_old(item, {(one.directory, one.name) for one in found})
        self._tree.put(item.key, item.data)

    def _is_in_place(self, inode: int, reference: Reference) -> bool:
        directory, place, name = reference
        entries = (self._names.by_place(directory, place, name), self._names.by_name(directory, name))
        return all(entry is not None and entry.location[0] == inode for entry in entries)

    def _clear_way(self, inode: int, wanted: Reference) -> None:
        """Unlink the inode's names there that are not in the log, and what has the name or the place."""
        directory, place, name = wanted
        for key in reference_keys(inode, directory, name):
            data = self._tree.get(key)
            for old in list(references(Item(*key, data))) if data is not None else ():
                if old.directory != directory:
                    continue
                own = reference_keys(inode, directory, old.name)[0 if key[1] == items.INODE_REF else 1]
                if not has_reference(self._log, own, directory, old.name):
                    self._names.count_links(inode, 1)
                    self._names.unlink(directory, inode, old.name)
        for entry in (self._names.by_place(directory, place, name), self._names.by_name(directory, name)):
            if entry is not None and self._names.by_name(directory, name) is not None:
                self._drop(directory, entry)

    def _add(self, inode: int, reference: Reference) -> None:
        directory, place, name = reference
        keys = reference_keys(inode, directory, name)
        if any(has_reference(self._tree, key, directory, name) for key in keys):
            self._names.unlink(directory, inode, name)
        other = self._names.by_name(directory, name)
        if other is not None:
            self._names.unlink(directory, other.location[0], name)
        mode = _number(self._tree.get((inode, items.INODE_ITEM, 0)) or b"", _MODE)
        type = _FILE_TYPES.get(stat.S_IFMT(mode), 0)
        self._names.link(directory, place, Stored((inode, items.INODE_ITEM, 0), type, name, b""))

    def _unlink_old(self, item: Item, logged: set[tuple[int, bytes]]) -> None:
        """Unlink the names in the subvolume's item of references that the log's does not have."""
        data = self._tree.get(item.key)
        for old in list(references(Item(*item.key, data))) if data is not None else ():
            if (old.directory, old.name) not in logged:
                self._names.unlink(old.directory, item.objectid, old.name)

    # Data

    def _extent(self, item: Item) -> None:
        self._need(item.objectid)
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

    # Links

    def _count_links(self) -> None:
        while self._touched:
            inode = max(self._touched)
            self._touched.remove(inode)
            links = len(self._names.of(inode))
            self._names.set_links(inode, links)
            mode = _number(self._tree.get((inode, items.INODE_ITEM, 0)) or b"", _MODE)
            if not links and stat.S_ISDIR(mode):
                self._delete_between(inode, 0, LAST, None)

    def _touch_entry(self, entry: Stored) -> None:
        if entry.location[1] != items.INODE_ITEM:
            raise UnsupportedError("the log of btrfs removes a subvolume")
        self._touch(entry.location[0])

    def _touch(self, inode: int) -> None:
        """Count the links of an inode at the end; it stays until then."""
        self._need(inode)
        if inode not in self._touched:
            self._touched.add(inode)
            self._names.count_links(inode, 1)

    def _has(self, inode: int) -> bool:
        return self._tree.get((inode, items.INODE_ITEM, 0)) is not None

    def _exists(self, location: Key) -> bool:
        return self._tree.get(location) is not None

    def _need(self, inode: int) -> None:
        if not self._has(inode):
            raise FilesystemError(f"the log of btrfs needs inode {inode}, which is not there")


def _entries(log: Items, key: Key) -> list[Stored]:
    return [entry for item in log.items(key, key) for entry in items.stored(item)]


def _number(data: bytes, field: slice) -> int:
    return int.from_bytes(data[field], "little")
