"""``Filesystem`` over btrfs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, Self

from converters.errors import FilesystemError
from converters.filesystems.base import Entry, Kind
from converters.filesystems.btrfs import items
from converters.filesystems.btrfs.items import Inode, Stored
from converters.filesystems.btrfs.storage import Storage
from converters.filesystems.btrfs.subvolumes import FIRST_INODE
from converters.filesystems.btrfs.tree import LAST, Item
from converters.filesystems.inode_walk import InodeFilesystem
from converters.filesystems.memory import Cache

_OBJECT_BITS = 64
_OBJECTS = (1 << _OBJECT_BITS) - 1
_EMPTY_INODE = 2
"""Inode of the directory that stands where a snapshot has another subvolume's name
(``BTRFS_EMPTY_SUBVOL_DIR_OBJECTID``)."""
_EMPTY_MODE = 0o755
_INODE_BYTES, _ATTRIBUTE_BYTES = 900, 150
"""Of memory, that an inode and each of its attributes take, beside the bytes of names and values."""
_LONGEST_TARGET = 4095
_SEALED = 1 << 32
"""Flag of an inode whose content fs-verity vouches for (``BTRFS_INODE_RO_VERITY``)."""
_MOST_TOLD = 20
_MOST_ATTRIBUTES = 16 << 20
"""Bytes of all attributes of one inode."""


class BtrfsFilesystem(InodeFilesystem[Inode]):
    """One subvolume of a btrfs with those in it, as a mount shows it; a context manager.

    Args:
        storage: the whole, which stays the caller's.
        options: mount options that choose the subvolume (``subvol=@``); by default the file system's own.

    ``Entry.inode`` is the inode's number in the subvolume that is shown, and for those within it also says
    which one: the kernel gives them device numbers of their own.

    Raises:
        FilesystemError: no subvolume of that name, or damaged.
        UnsupportedError: options that cannot be followed.
        DiskError: a disk cannot be read.
    """

    _number_bytes: ClassVar[int] = 3 * _OBJECT_BITS // 8

    def __init__(self, storage: Storage, options: str = "") -> None:
        self._subvolumes = storage.subvolumes
        self._contents = storage.contents
        self._shown = self._subvolumes.chosen(options)
        self._inodes: Cache[int, Inode] = storage.memory.cache()
        self._sealed: dict[int, bytes] = {}
        super().__init__(FIRST_INODE, storage.memory)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def type(self) -> str:
        """As blkid(8) says it."""
        return "btrfs"

    @property
    def notes(self) -> tuple[str, ...]:
        """See ``Remarking``."""
        told = [path.decode(errors="backslashreplace") for path in self._sealed.values()]
        what = "sealed (fs-verity): its bytes are read, and the seal is not kept"
        more = (f"More than these {_MOST_TOLD} are {what}.",) if len(told) > _MOST_TOLD else ()
        return (*(f"/{path} is {what}." for path in told[:_MOST_TOLD]), *more)

    def close(self) -> None:
        """Forget what was read. A second call does nothing."""
        self._inodes.clear()
        self._listings.clear()

    def read(self, entry: Entry) -> Iterator[bytes]:
        """The bytes of a regular file in chunks of at most 4 MiB, holes as zeros: ``entry.size`` in all."""
        inode = self._inode(entry.inode)
        if inode.kind is not Kind.FILE:
            raise FilesystemError(f"inode {entry.inode} is no regular file, so it has no bytes to read")
        return self._data(inode)

    def _data(self, inode: Inode) -> Iterator[bytes]:
        tree, objectid = self._split(inode.number)
        return self._contents.chunks(self._subvolumes.tree(tree), objectid, inode)

    def _split(self, number: int) -> tuple[int, int]:
        """Subvolume and inode number of a number of the walk."""
        return number >> _OBJECT_BITS & _OBJECTS or self._shown, number & _OBJECTS

    def _joined(self, tree: int, objectid: int) -> int:
        return objectid if tree == self._shown else tree << _OBJECT_BITS | objectid

    def _inode(self, number: int) -> Inode:
        known = self._inodes.get(number)
        if known is None:
            known = self._empty(number) if number >> 2 * _OBJECT_BITS else self._load(number)
            attributes = sum(_ATTRIBUTE_BYTES + len(name) + len(value) for name, value in known.xattrs)
            self._inodes.put(number, known, _INODE_BYTES + attributes)
        return known

    def _load(self, number: int) -> Inode:
        tree, objectid = self._split(number)
        found: Item | None = None
        attributes: list[Item] = []
        for item in self._subvolumes.tree(tree).items((objectid, 0, 0), (objectid, items.XATTR_ITEM, LAST)):
            if item.type == items.INODE_ITEM:
                found = item
            elif item.type == items.XATTR_ITEM:
                attributes.append(item)
        if found is None:
            raise FilesystemError(
                f"inode {objectid} of subvolume {tree} is not in use, and a name leads to it"
            )
        return items.inode(found, number, _attributes(attributes))

    def _empty(self, number: int) -> Inode:
        """The directory where a snapshot has the name of a subvolume that is elsewhere: nothing is in it.

        The kernel makes it up with the time of the look; here it has its parent's.
        """
        parent = self._inode(number & (1 << 2 * _OBJECT_BITS) - 1)
        return parent._replace(number=number, mode=_EMPTY_MODE, size=0, nlink=1, xattrs=())

    def _names(self, inode: Inode) -> Iterator[tuple[bytes, int]]:
        if inode.number >> 2 * _OBJECT_BITS:
            return
        tree, objectid = self._split(inode.number)
        known = self._subvolumes.tree(tree)
        # The kernel lists by places and looks up by hashes: a name of one kind alone could not be opened.
        # Sums tell whether both kinds are the same, as a directory may have a million names.
        left = sum(
            hash((entry.name, entry.location))
            for item in known.items((objectid, items.DIR_ITEM, 0), (objectid, items.DIR_ITEM, LAST))
            for entry in items.stored(item)
        )
        for item in known.items((objectid, items.DIR_INDEX, 0), (objectid, items.DIR_INDEX, LAST)):
            for entry in items.stored(item):
                left -= hash((entry.name, entry.location))
                yield entry.name, self._number(tree, objectid, entry)
        if left:
            raise FilesystemError(
                f"directory inode {objectid} has other names by their places than by hashes"
            )

    def _number(self, tree: int, directory: int, entry: Stored) -> int:
        """What a name leads to, as the walk knows it."""
        number, type, _ = entry.location
        if entry.name in (b".", b"..") or b"/" in entry.name:
            raise FilesystemError(f"directory inode {directory}: impossible name {entry.name!r}")
        if type == items.INODE_ITEM:
            return self._joined(tree, number)
        if type != items.ROOT_ITEM:
            raise FilesystemError(
                f"directory inode {directory}: {entry.name!r} leads to nothing that there is"
            )
        if self._subvolumes.holds(tree, directory, entry.name, number) and self._subvolumes.exists(number):
            return self._joined(number, FIRST_INODE)
        return number << 2 * _OBJECT_BITS | tree << _OBJECT_BITS | directory

    def _entry(self, path: bytes, inode: Inode) -> Entry:
        if inode.flags & _SEALED and len(self._sealed) <= _MOST_TOLD:
            self._sealed.setdefault(inode.number, path)
        return super()._entry(path, inode)

    def _xattrs(self, inode: Inode) -> tuple[tuple[bytes, bytes], ...]:
        return inode.xattrs

    def _check_readable(self, inode: Inode, path: bytes) -> None:
        """Everything that there is can be read."""

    def _target(self, inode: Inode) -> bytes:
        if not 0 < inode.size <= _LONGEST_TARGET:
            raise FilesystemError(f"symbolic link inode {inode.number} is {inode.size} bytes long")
        target = b"".join(self._data(inode))
        if b"\0" in target:
            raise FilesystemError(f"symbolic link inode {inode.number} is damaged")
        return target


def _attributes(found: Sequence[Item]) -> tuple[tuple[bytes, bytes], ...]:
    """Extended attributes by full name, sorted. Raises ``FilesystemError``: damaged."""
    if not found:
        return ()
    stored = [attribute for item in found for attribute in items.stored(item)]
    if sum(len(attribute.value) for attribute in stored) > _MOST_ATTRIBUTES:
        raise FilesystemError(
            f"inode {found[0].objectid}: its attributes take more than {_MOST_ATTRIBUTES} bytes"
        )
    attributes = {attribute.name: attribute.value for attribute in stored}
    if len(attributes) != len(stored):
        raise FilesystemError(f"inode {found[0].objectid} has an extended attribute twice")
    return tuple(sorted(attributes.items()))
