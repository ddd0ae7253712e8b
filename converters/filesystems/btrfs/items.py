"""What the items of btrfs hold: directory entries, attributes, inodes, references, roots, extents."""

from __future__ import annotations

import stat
import struct
from collections.abc import Iterator
from typing import NamedTuple

from converters.errors import FilesystemError
from converters.filesystems.base import KINDS, Kind
from converters.filesystems.btrfs.tree import Item, Pointer

INODE_ITEM, INODE_REF, INODE_EXTREF, XATTR_ITEM = 1, 12, 13, 24
DIR_ITEM, DIR_INDEX, EXTENT_DATA, EXTENT_CSUM = 84, 96, 108, 128
ROOT_ITEM, ROOT_REF = 132, 156
"""Types of keys (``BTRFS_*_KEY``)."""

LONGEST_NAME = 255
_SECOND = 1_000_000_000
_INODE = struct.Struct("<16xQ16xIIIIQQ64xqI12x")
"""Bytes, links, owner, group, mode, device, flags, modification time (``struct btrfs_inode_item``)."""


class Inode(NamedTuple):
    """One inode, decoded."""

    number: int
    """As the walk knows it: also by its subvolume."""
    kind: Kind
    mode: int
    """Permission bits with setuid, setgid and sticky."""
    uid: int
    gid: int
    size: int
    """Bytes, whatever the kind."""
    mtime_ns: int
    nlink: int
    rdev: int
    flags: int
    xattrs: tuple[tuple[bytes, bytes], ...]

    def device(self) -> tuple[int, int]:
        """Major and minor number, as the kernel's ``dev_t`` has them."""
        return self.rdev >> 20 & 0xFFF, self.rdev & 0xFFFFF


class Stored(NamedTuple):
    """One of what an item of entries or attributes holds: several when hashes of names are equal."""

    location: tuple[int, int, int]
    """Key of the inode or subvolume."""
    type: int
    name: bytes
    value: bytes


class Root(NamedTuple):
    """Where a tree is."""

    pointer: Pointer
    references: int
    """0: the subvolume is being deleted."""


class Extent(NamedTuple):
    """A piece of a file."""

    start: int
    """Bytes from the start of the file."""
    length: int
    """Bytes of the file; of an inline extent, what it decompresses to."""
    compression: int
    inline: bytes | None
    """Content in the item itself."""
    address: int
    """Logical address of the whole extent; 0: a hole."""
    is_written: bool
    """Whether it holds data; else it is reserved, and reads as zeros."""
    stored: int
    """Bytes of the whole extent as it is stored."""
    size: int
    """Bytes of the whole extent, decompressed."""
    offset: int
    """Where in the decompressed extent the piece begins."""


_ENTRY = struct.Struct("<QBQ8xHHB")
"""Location, bytes of value and of name, type (``struct btrfs_dir_item``)."""
_ROOT = struct.Struct("<160xQ8xQ32xI18xB")
"""Generation, address, references, level (``struct btrfs_root_item``)."""
_ROOT_REF = struct.Struct("<QQH")
_EXTENT = struct.Struct("<8xQBBHB")
"""Bytes decompressed, compression, encryption, other encoding, type (``struct btrfs_file_extent_item``)."""
_REGULAR = struct.Struct("<QQQQ")
_INLINE_TYPE, _REGULAR_TYPE, _RESERVED_TYPE = 0, 1, 2


def inode(item: Item, number: int, xattrs: tuple[tuple[bytes, bytes], ...]) -> Inode:
    """The inode in ``item``. Raises ``FilesystemError``: damaged."""
    if len(item.data) != _INODE.size:
        raise FilesystemError(f"inode {item.objectid} is damaged")
    size, nlink, uid, gid, mode, rdev, flags, seconds, nanoseconds = _INODE.unpack_from(item.data)
    kind = KINDS.get(stat.S_IFMT(mode))
    if kind is None or nanoseconds >= _SECOND or size >> 63:
        raise FilesystemError(f"inode {item.objectid} is damaged: impossible mode, time or size")
    mtime = seconds * _SECOND + nanoseconds
    return Inode(number, kind, mode & 0o7777, uid, gid, size, mtime, nlink, rdev, flags, xattrs)


def stored(item: Item) -> Iterator[Stored]:
    """The entries or attributes in ``item``. Raises ``FilesystemError``: damaged."""
    data, place = item.data, 0
    while place < len(data):
        if place + _ENTRY.size > len(data):
            raise _damaged(item)
        objectid, key_type, offset, value_length, name_length, type = _ENTRY.unpack_from(data, place)
        start = place + _ENTRY.size
        middle = start + name_length
        place = middle + value_length
        name = data[start:middle]
        if place > len(data) or not 0 < name_length <= LONGEST_NAME or b"\0" in name:
            raise _damaged(item)
        yield Stored((objectid, key_type, offset), type, name, data[middle:place])


def packed(entry: Stored) -> bytes:
    """An entry as an item holds it; of the transaction that made it nobody asks."""
    head = _ENTRY.pack(*entry.location, len(entry.value), len(entry.name), entry.type)
    return head + entry.name + entry.value


def root(item: Item) -> Root:
    """The tree that ``item`` describes. Raises ``FilesystemError``: damaged."""
    if len(item.data) < _ROOT.size:
        raise _damaged(item)
    generation, address, references, level = _ROOT.unpack_from(item.data)
    return Root(Pointer(address, level, generation), references)


def root_reference(item: Item) -> tuple[int, bytes]:
    """The directory that holds a subvolume, and its name there. Raises ``FilesystemError``: damaged."""
    if len(item.data) < _ROOT_REF.size:
        raise _damaged(item)
    directory, _, length = _ROOT_REF.unpack_from(item.data)
    name = item.data[_ROOT_REF.size :]
    if len(name) != length:
        raise _damaged(item)
    return directory, name


def extent(item: Item) -> Extent:
    """The piece of a file in ``item``.

    Raises:
        FilesystemError: damaged, or of a kind that nobody here understands.
    """
    data = item.data
    if len(data) < _EXTENT.size:
        raise _damaged(item)
    size, compression, encryption, other, type = _EXTENT.unpack_from(data)
    if encryption or other:
        raise FilesystemError(f"inode {item.objectid} is encrypted, or encoded in a way that is not known")
    if type == _INLINE_TYPE:
        content = data[_EXTENT.size :]
        if item.offset or (not compression and len(content) != size):
            raise _damaged(item)
        return Extent(0, size, compression, content, 0, True, 0, size, 0)
    if type not in (_REGULAR_TYPE, _RESERVED_TYPE) or len(data) != _EXTENT.size + _REGULAR.size:
        raise _damaged(item)
    address, stored_size, offset, length = _REGULAR.unpack_from(data, _EXTENT.size)
    if not length or item.offset + length >> 63:
        raise _damaged(item)
    if address and offset + length > size:
        raise _damaged(item)
    is_written = type == _REGULAR_TYPE
    return Extent(item.offset, length, compression, None, address, is_written, stored_size, size, offset)


def _damaged(item: Item) -> FilesystemError:
    return FilesystemError(f"the item of btrfs {item.objectid}/{item.type}/{item.offset} is damaged")
