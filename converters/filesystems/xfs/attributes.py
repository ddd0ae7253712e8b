"""Extended attributes of XFS (``fs/xfs/libxfs/xfs_da_format.h``): in the inode, or in leaves of a tree.

A value that is too long for a leaf has blocks of its own.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from converters.errors import FilesystemError
from converters.filesystems.xfs import acl, checksum
from converters.filesystems.xfs.inode import Fork, Format, Inode
from converters.filesystems.xfs.mapping import Run
from converters.filesystems.xfs.metadata import Metadata

LARGEST = 65536
"""Bytes of the largest value that setxattr(2) takes (``XATTR_SIZE_MAX``)."""
_MOST = 16 << 20
"""Bytes of all values of one inode."""

_LOCAL, _ROOT, _SECURE, _PARENT, _INCOMPLETE = 0x1, 0x2, 0x4, 0x8, 0x80
_PREFIXES = {0: b"user.", _ROOT: b"trusted.", _SECURE: b"security."}

_SHORT_HEADER = 4
_LINKS = struct.Struct(">IIH")
"""Next block, previous block, magic: what nodes and leaves begin with."""
_LEAF, _NODE = 0xFBEE, 0xFEBE
_LEAF_5, _NODE_5 = 0x3BEE, 0x3EBE
_CHECKSUM, _UUID, _OWNER = 12, slice(32, 48), slice(48, 56)
_BARE, _SELF_DESCRIBING = 12, 56
"""Bytes before what is a leaf's or node's own."""
_ENTRY = struct.Struct(">IHBx")
_LOCAL_VALUE = struct.Struct(">HB")
_REMOTE_VALUE = struct.Struct(">IIB")

_REMOTE_MAGIC = b"XARM"
_REMOTE_HEADER = struct.Struct(">4sII4x16sQ")
"""Magic, offset, bytes, checksum, UUID, owner."""
_REMOTE_SIZE = 56


class _Attribute(NamedTuple):
    flags: int
    name: bytes
    value: bytes
    block: int = 0
    """Of the fork, where a value begins that is elsewhere."""
    size: int = 0
    """Bytes of a value that is elsewhere."""


class Attributes:
    """Reads what hangs on inodes of ``metadata``."""

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata
        # One security policy puts the same bytes into thousands of inodes.
        self._parse_short = lru_cache(1024)(_short)

    def of(self, inode: Inode) -> tuple[tuple[bytes, bytes], ...]:
        """Extended attributes as getxattr(2) gives them, by full name, sorted.

        An access control list is given as such, not as the attribute of XFS's own that holds it.

        Raises:
            FilesystemError: damaged.
        """
        fork = inode.attributes
        if fork is None or (fork.format is Format.EXTENTS and not fork.extents):
            return ()
        found: dict[bytes, bytes] = {}
        total = 0
        try:
            if fork.format is Format.LOCAL:
                stored: Iterator[_Attribute] | tuple[_Attribute, ...] = self._parse_short(fork.area)
                blocks = None
            else:
                blocks = _Blocks(self._metadata, inode, fork)
                stored = _leaves(blocks)
            for attribute in stored:
                if attribute.flags & (_INCOMPLETE | _PARENT):
                    continue
                value = attribute.value
                if blocks is not None and attribute.size:
                    value = _remote(blocks, attribute)
                total += len(value)
                if total > _MOST:
                    raise FilesystemError(f"its extended attributes take more than {_MOST} bytes")
                name, value = _shown(attribute, value)
                found[name] = value
        except FilesystemError as error:
            raise FilesystemError(f"inode {inode.number}: {error.message}") from error
        return tuple(sorted(found.items()))


class _Blocks:
    """The blocks of a fork of attributes, by their numbers in it."""

    def __init__(self, metadata: Metadata, inode: Inode, fork: Fork) -> None:
        self.metadata = metadata
        self.inode = inode
        self._runs: list[Run] = list(metadata.runs(inode, fork))

    def read(self, logical: int) -> bytes:
        for run in self._runs:
            if run.logical <= logical < run.logical + run.blocks and run.is_written:
                return self.metadata.block(run.physical + logical - run.logical)
        raise FilesystemError(f"there is no block {logical} for its extended attributes")

    def verify(self, block: bytes, checksum_at: int, uuid: bytes, owner: int) -> None:
        """Raise when a block that describes itself is damaged, or somebody else's."""
        superblock = self.metadata.superblock
        if owner != self.inode.number or uuid != superblock.uuid or not checksum.is_right(block, checksum_at):
            raise FilesystemError("wrong checksum in a block of its extended attributes")


def _shown(attribute: _Attribute, value: bytes) -> tuple[bytes, bytes]:
    prefix = _PREFIXES.get(attribute.flags & (_ROOT | _SECURE))
    if prefix is None or not attribute.name or b"\0" in attribute.name:
        raise FilesystemError(f"an extended attribute of no kind that there is ({attribute.name!r})")
    if prefix == b"trusted." and attribute.name in acl.NAMES:
        return acl.NAMES[attribute.name], acl.value(value)
    return prefix + attribute.name, value


def _short(area: bytes) -> tuple[_Attribute, ...]:
    """The attributes in an inode: size and count, then one after another."""
    size, count = struct.unpack_from(">HB", area)
    found = []
    place = _SHORT_HEADER
    for _ in range(count):
        if place + 3 > min(size, len(area)):
            raise FilesystemError("its extended attributes end before the last")
        name_length, value_length, flags = area[place : place + 3]
        start = place + 3
        place = start + name_length + value_length
        if place > min(size, len(area)):
            raise FilesystemError("its extended attributes end before the last")
        found.append(_Attribute(flags, area[start : start + name_length], area[start + name_length : place]))
    return tuple(found)


def _leaves(blocks: _Blocks) -> Iterator[_Attribute]:
    """The attributes of every leaf: down the left side of the tree, then from leaf to leaf."""
    is_5 = blocks.metadata.superblock.has_checksums
    leaf, node = (_LEAF_5, _NODE_5) if is_5 else (_LEAF, _NODE)
    header = _SELF_DESCRIBING if is_5 else _BARE
    logical, seen = 0, set[int]()
    while logical or not seen:
        if logical in seen:
            raise FilesystemError("the blocks of its extended attributes go round in a circle")
        seen.add(logical)
        block = blocks.read(logical)
        following, _, magic = _LINKS.unpack_from(block)
        if is_5:
            blocks.verify(block, _CHECKSUM, block[_UUID], int.from_bytes(block[_OWNER], "big"))
        if magic == leaf:
            yield from _leaf(block, header)
            logical = following
        elif magic == node:
            # Its own header ends after count and level, in version 5 filled up to eight bytes.
            first = header + (8 if is_5 else 4)
            logical = int.from_bytes(block[first + 4 : first + 8], "big")
        else:
            raise FilesystemError("a block of its extended attributes without its magic number")


def _leaf(block: bytes, header: int) -> Iterator[_Attribute]:
    (count,) = struct.unpack_from(">H", block, header)
    entries = header + (24 if header == _SELF_DESCRIBING else 20)
    if entries + count * _ENTRY.size > len(block):
        raise FilesystemError("a block of extended attributes with more of them than it holds")
    for index in range(count):
        _, place, flags = _ENTRY.unpack_from(block, entries + index * _ENTRY.size)
        layout = _LOCAL_VALUE if flags & _LOCAL else _REMOTE_VALUE
        start = place + layout.size
        if start > len(block):
            raise FilesystemError("an extended attribute outside its block")
        if flags & _LOCAL:
            size, name_length = _LOCAL_VALUE.unpack_from(block, place)
            end = start + name_length + size
            attribute = _Attribute(
                flags, block[start : start + name_length], block[start + name_length : end]
            )
        else:
            first, size, name_length = _REMOTE_VALUE.unpack_from(block, place)
            end = start + name_length
            attribute = _Attribute(flags, block[start:end], b"", first, size)
        if end > len(block) or size > LARGEST:
            raise FilesystemError("an extended attribute outside its block")
        yield attribute


def _remote(blocks: _Blocks, attribute: _Attribute) -> bytes:
    """A value in blocks of its own; each says in version 5 what it is."""
    value, logical = b"", attribute.block
    while len(value) < attribute.size:
        block = blocks.read(logical)
        if blocks.metadata.superblock.has_checksums:
            magic, offset, length, uuid, owner = _REMOTE_HEADER.unpack_from(block)
            if magic != _REMOTE_MAGIC or offset != len(value) or not 0 < length <= len(block) - _REMOTE_SIZE:
                raise FilesystemError("the value of an extended attribute is damaged")
            blocks.verify(block, _CHECKSUM, uuid, owner)
            block = block[_REMOTE_SIZE : _REMOTE_SIZE + length]
        value += block
        logical += 1
    return value[: attribute.size]
