"""Names while a log of btrfs is replayed: what is deleted, what directories say, and what inodes say."""

from __future__ import annotations

import heapq
import stat

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
from converters.filesystems.btrfs.tree import LAST, Item, Items, Key, Tree

_DIR_LOG_INDEX = 72
"""A range of a directory's places for which the log is complete (``BTRFS_DIR_LOG_INDEX_KEY``)."""
_MODE = slice(52, 56)
_FILE_TYPES = {stat.S_IFREG: 1, stat.S_IFDIR: 2, stat.S_IFCHR: 3, stat.S_IFBLK: 4, stat.S_IFIFO: 5}
_FILE_TYPES |= {stat.S_IFSOCK: 6, stat.S_IFLNK: 7}
"""What entries of directories say (``BTRFS_FT_*``)."""
_DIRECTORY = 2


class NameReplay:
    """Puts the names of one log into the tree of its subvolume."""

    def __init__(self, log: Tree, tree: EditedTree) -> None:
        self._log = log
        self._tree = tree
        self._names = Names(tree)
        self._touched: set[int] = set()
        """Inodes whose links are counted at the end."""
        self._order: list[int] = []
        """The same as a heap, negative: the largest comes first."""

    def delete_entries(self, directory: int) -> None:
        """Delete the entries that the log does not have, where it is complete."""
        if self._tree.get((directory, items.INODE_ITEM, 0)) is None:
            return
        low, high = (directory, _DIR_LOG_INDEX, 0), (directory, _DIR_LOG_INDEX, LAST)
        done = 0
        for span in self._log.items(low, high):
            if len(span.data) < 8:
                raise FilesystemError(f"the log of btrfs is damaged at directory {directory}")
            last = int.from_bytes(span.data[:8], "little")
            self._delete_between(directory, max(span.offset, done), last, self._log)
            done = last + 1

    def _delete_between(self, directory: int, first: int, last: int, log: Items | None) -> None:
        low, high = (directory, items.DIR_INDEX, first), (directory, items.DIR_INDEX, last)
        for item in self._tree.items(low, high):
            kept = set() if log is None else entries(log, item.key)
            for entry in items.stored(item):
                if entry.name not in {one.name for one in kept}:
                    self._touch_entry(entry)
                    self._names.count_links(entry.location[0], 1)
                    self._names.unlink(directory, entry.location[0], entry.name)

    def entry(self, item: Item) -> None:
        """An entry of a directory that was synchronised."""
        directory = item.objectid
        self.need(directory)
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
                self.touch(entry.location[0])

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

    def references(self, item: Item) -> None:
        """The names that an inode in the log has, in the directories that are there."""
        inode = item.objectid
        found = list(references(item))
        if not found or not self._has(found[0].directory):
            return
        self.need(inode)
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
        type = _FILE_TYPES.get(stat.S_IFMT(self._mode(inode)), 0)
        self._names.link(directory, place, Stored((inode, items.INODE_ITEM, 0), type, name, b""))

    def _unlink_old(self, item: Item, logged: set[tuple[int, bytes]]) -> None:
        """Unlink the names in the subvolume's item of references that the log's does not have."""
        data = self._tree.get(item.key)
        for old in list(references(Item(*item.key, data))) if data is not None else ():
            if (old.directory, old.name) not in logged:
                self._names.unlink(old.directory, item.objectid, old.name)

    def count_links(self) -> None:
        while self._order:
            inode = -heapq.heappop(self._order)
            self._touched.remove(inode)
            links = len(self._names.of(inode))
            self._names.set_links(inode, links)
            if not links and stat.S_ISDIR(self._mode(inode)):
                self._delete_between(inode, 0, LAST, None)

    def _touch_entry(self, entry: Stored) -> None:
        if entry.location[1] != items.INODE_ITEM:
            raise UnsupportedError("the log of btrfs removes a subvolume")
        self.touch(entry.location[0])

    def touch(self, inode: int) -> None:
        """Count the links of an inode at the end; it stays until then."""
        self.need(inode)
        if inode not in self._touched:
            self._touched.add(inode)
            heapq.heappush(self._order, -inode)
            self._names.count_links(inode, 1)

    def _has(self, inode: int) -> bool:
        return self._tree.get((inode, items.INODE_ITEM, 0)) is not None

    def _exists(self, location: Key) -> bool:
        return self._tree.get(location) is not None

    def need(self, inode: int) -> None:
        if not self._has(inode):
            raise FilesystemError(f"the log of btrfs needs inode {inode}, which is not there")

    def _mode(self, inode: int) -> int:
        item = self._tree.get((inode, items.INODE_ITEM, 0)) or b""
        return int.from_bytes(item[_MODE], "little")


def entries(log: Items, key: Key) -> list[Stored]:
    """The entries or attributes that a log has at ``key``."""
    return [entry for item in log.items(key, key) for entry in items.stored(item)]
