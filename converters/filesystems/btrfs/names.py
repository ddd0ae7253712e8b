"""Names of inodes while a log is replayed: directory entries, and the references to them in inodes.

A name is an item by its hash and one by its place in the directory, and a reference in the inode, in an item
of another kind when there are too many for one (``fs/btrfs/dir-item.c`` and ``inode-item.c``).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import google_crc32c

from converters.errors import FilesystemError, UnsupportedError
from converters.filesystems.btrfs import items
from converters.filesystems.btrfs.checksum import name_hash
from converters.filesystems.btrfs.edited import EditedTree
from converters.filesystems.btrfs.items import Stored
from converters.filesystems.btrfs.tree import LAST, Item, Items, Key

_REF = struct.Struct("<QH")
"""Place in the directory, bytes of the name (``struct btrfs_inode_ref``)."""
_EXTREF = struct.Struct("<QQH")
"""Directory, place in it, bytes of the name (``struct btrfs_inode_extref``)."""
_LINKS = slice(40, 44)


class Reference(NamedTuple):
    """One name of an inode, as the inode has it."""

    directory: int
    place: int
    """Offset of the key of the entry by its place (``DIR_INDEX``)."""
    name: bytes


def references(item: Item) -> tuple[Reference, ...]:
    """The names in an item of references. Raises ``FilesystemError``: damaged."""
    return _parsed(item)[0]


@lru_cache(64)
def _parsed(item: Item) -> tuple[tuple[Reference, ...], frozenset[tuple[int, bytes]]]:
    """The names in an item, in order and to look up; the same few hundred are asked for each of them."""
    found = tuple(_references(item))
    return found, frozenset((one.directory, one.name) for one in found)


def _references(item: Item) -> Iterator[Reference]:
    data, place = item.data, 0
    layout = _EXTREF if item.type == items.INODE_EXTREF else _REF
    while place < len(data):
        if place + layout.size > len(data):
            raise FilesystemError(f"the references of inode {item.objectid} are damaged")
        fields = layout.unpack_from(data, place)
        place += layout.size
        directory, index, length = fields if len(fields) == 3 else (item.offset, *fields)
        name = data[place : place + length]
        place += length
        if place > len(data) or not name:
            raise FilesystemError(f"the references of inode {item.objectid} are damaged")
        yield Reference(directory, index, name)


def extended_hash(directory: int, name: bytes) -> int:
    """What the key of extended references is made of (``btrfs_extref_hash``)."""
    number: int = google_crc32c.extend(directory & 0xFFFFFFFF ^ 0xFFFFFFFF, name)
    return number ^ 0xFFFFFFFF


def reference_keys(inode: int, directory: int, name: bytes) -> tuple[Key, Key]:
    """Where the reference of a name can be."""
    return (
        (inode, items.INODE_REF, directory),
        (inode, items.INODE_EXTREF, extended_hash(directory, name)),
    )


def has_reference(tree: Items, key: Key, directory: int, name: bytes) -> bool:
    """Whether the item of references at ``key`` holds a name."""
    return any((directory, name) in _parsed(item)[1] for item in tree.items(key, key))


class Names:
    """Links and unlinks names in the tree of a subvolume; times of directories stay as they are."""

    def __init__(self, tree: EditedTree) -> None:
        self._tree = tree

    def by_name(self, directory: int, name: bytes) -> Stored | None:
        """The entry of a directory with this name, by its hash."""
        return self._find((directory, items.DIR_ITEM, name_hash(name)), name)

    def by_place(self, directory: int, place: int, name: bytes) -> Stored | None:
        """The entry of a directory at this place, if it has this name."""
        return self._find((directory, items.DIR_INDEX, place), name)

    def of(self, inode: int) -> list[Reference]:
        """All names of an inode."""
        kinds = (items.INODE_REF, items.INODE_EXTREF)
        return [
            found
            for kind in kinds
            for item in self._tree.items((inode, kind, 0), (inode, kind, LAST))
            for found in references(item)
        ]

    def link(self, directory: int, place: int, entry: Stored) -> bool:
        """Add an entry without its reference; False when the name is taken.

        Raises:
            FilesystemError: its place is.
        """
        by_hash: Key = (directory, items.DIR_ITEM, name_hash(entry.name))
        by_place: Key = (directory, items.DIR_INDEX, place)
        if self.by_name(directory, entry.name) is not None:
            return False
        if self._tree.get(by_place) is not None:
            raise FilesystemError(
                f"the log of btrfs puts a second name at place {place} of inode {directory}"
            )
        stored = items.packed(entry)
        self._tree.put(by_hash, (self._tree.get(by_hash) or b"") + stored)
        self._tree.put(by_place, stored)
        return True

    def refer(self, inode: int, reference: Reference) -> None:
        """Add a reference to an inode: an extended one where the item of the others is full."""
        keys = reference_keys(inode, reference.directory, reference.name)
        for key in keys:
            whole = (self._tree.get(key) or b"") + _reference(key, reference)
            if len(whole) <= self._tree.largest or key is keys[-1]:
                self._tree.put(key, whole)
                return

    def unlink(self, directory: int, inode: int, name: bytes) -> None:
        """Remove a name with its reference, and count one link less.

        Raises:
            FilesystemError: a part of it is missing.
            UnsupportedError: it is a subvolume.
        """
        by_hash: Key = (directory, items.DIR_ITEM, name_hash(name))
        entry = self.by_name(directory, name)
        if entry is None or entry.location[0] != inode:
            raise FilesystemError(
                f"the log of btrfs removes {name!r} from inode {directory}, which has it not"
            )
        if entry.location[1] != items.INODE_ITEM:
            raise UnsupportedError("the log of btrfs removes a subvolume")
        self._replace(
            by_hash, b"".join(items.packed(one) for one in self._stored(by_hash) if one.name != name)
        )
        place = self._dereference(inode, directory, name)
        self._tree.delete((directory, items.DIR_INDEX, place))
        self.count_links(inode, -1)

    def count_links(self, inode: int, difference: int) -> None:
        """Count more or fewer links of an inode."""
        item = self._inode(inode)
        links = int.from_bytes(item[_LINKS], "little") + difference
        self.set_links(inode, max(links, 0))

    def set_links(self, inode: int, count: int) -> None:
        """Set how many links an inode has. Raises ``FilesystemError``: there is no such inode."""
        item = bytearray(self._inode(inode))
        item[_LINKS] = (count & 0xFFFFFFFF).to_bytes(4, "little")
        self._tree.put((inode, items.INODE_ITEM, 0), bytes(item))

    def _dereference(self, inode: int, directory: int, name: bytes) -> int:
        """Remove the reference of a name; the place of the entry."""
        for key in reference_keys(inode, directory, name):
            data = self._tree.get(key)
            found = () if data is None else references(Item(*key, data))
            for reference in found:
                if (reference.directory, reference.name) == (directory, name):
                    left = [_reference(key, one) for one in found if one is not reference]
                    self._replace(key, b"".join(left))
                    return reference.place
        raise FilesystemError(f"inode {inode} does not know its name {name!r} in inode {directory}")

    def _replace(self, key: Key, data: bytes) -> None:
        if data:
            self._tree.put(key, data)
        else:
            self._tree.delete(key)

    def _inode(self, inode: int) -> bytes:
        found = self._tree.get((inode, items.INODE_ITEM, 0))
        if found is None:
            raise FilesystemError(f"the log of btrfs needs inode {inode}, which is not there")
        return found

    def _find(self, key: Key, name: bytes) -> Stored | None:
        return next((entry for entry in self._stored(key) if entry.name == name), None)

    def _stored(self, key: Key) -> list[Stored]:
        data = self._tree.get(key)
        return [] if data is None else list(items.stored(Item(*key, data)))


def _reference(key: Key, reference: Reference) -> bytes:
    """A reference as the item at ``key`` holds it."""
    directory, place, name = reference
    if key[1] == items.INODE_EXTREF:
        return _EXTREF.pack(directory, place, len(name)) + name
    return _REF.pack(place, len(name)) + name
