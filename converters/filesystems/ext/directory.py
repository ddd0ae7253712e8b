"""Directories (kernel ``Documentation/filesystems/ext4/directory.rst``).

The blocks of an index (htree) look like blocks with unused entries, so a linear walk finds every name.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from converters.errors import FilesystemError
from converters.filesystems.ext import inode as inodes
from converters.filesystems.ext.attributes import Attributes
from converters.filesystems.ext.inode import Inode
from converters.filesystems.ext.metadata import Metadata

Name = tuple[bytes, int]
"""A name and the number of the inode it leads to."""

_ENTRY = struct.Struct("<IHB")
_HEADER = 8
"""Bytes before the name: inode number, length of the entry, length of the name, type."""
_SMALLEST = 12
_WIDEST_BLOCK = 65536
_INLINE_PARENT = 4
_INLINE_IN_INODE = 60
_READ = 1 << 20
"""Bytes read at once."""


def names(metadata: Metadata, attributes: Attributes, inode: Inode) -> Iterator[Name]:
    """All that the directory ``inode`` holds but ``.`` and ``..``, in no order.

    Raises:
        FilesystemError: damaged.
    """
    found: Iterator[Name]
    if inode.flags & inodes.INLINE_DATA:
        data = attributes.inline(inode)
        # The parent's number, then two areas with entries of their own: in the inode, in its attribute.
        areas = data[_INLINE_PARENT:_INLINE_IN_INODE], data[_INLINE_IN_INODE:]
        found = (name for area in areas for name in parse(area, inode.number))
    else:
        found = (name for block in _blocks(metadata, inode) for name in parse(block, inode.number))
        if next(found, None) != (b".", inode.number) or next(found, (b"", 0))[0] != b"..":
            raise FilesystemError(f"directory inode {inode.number} does not begin with itself and its parent")
    for name in found:
        if name[0] in (b".", b".."):
            raise FilesystemError(f"directory inode {inode.number}: {name[0]!r} stands among the names")
        yield name


def parse(block: bytes, directory: int) -> Iterator[Name]:
    """The entries in use in one block of ``directory`` (an inode number).

    Raises:
        FilesystemError: an entry does not fit, or its name can be no file's name.
    """
    unpack, end, offset = _ENTRY.unpack_from, len(block), 0
    while offset < end:
        if end - offset < _HEADER:
            raise FilesystemError(
                f"directory inode {directory}: {end - offset} bytes are left over in a block"
            )
        inode, length, name_length = unpack(block, offset)
        if end == _WIDEST_BLOCK and length in (0, _WIDEST_BLOCK - 1):
            length = _WIDEST_BLOCK
        if length < _SMALLEST or length & 3 or name_length + _HEADER > length or offset + length > end:
            raise FilesystemError(f"directory inode {directory}: damaged entry at byte {offset} of a block")
        if inode:
            name = block[offset + _HEADER : offset + _HEADER + name_length]
            if not name or b"/" in name or b"\0" in name:
                raise FilesystemError(f"directory inode {directory}: impossible name {name!r}")
            yield name, inode
        offset += length


def _blocks(metadata: Metadata, inode: Inode) -> Iterator[bytes]:
    """Every block, its checksum verified."""
    size = metadata.superblock.block_size
    position, end = 0, inode.size // size
    seen: set[int] = set()
    for run in metadata.runs(inode):
        if run.logical != position or position >= end:
            break
        last = min(run.blocks, end - position)
        # A small disk could claim a directory of gigabytes by giving one block again and again.
        seen.update(range(run.physical, run.physical + last))
        if len(seen) != position + last:
            raise FilesystemError(f"directory inode {inode.number} holds one of its blocks twice")
        for first in range(0, last, _READ // size):
            count = min(last - first, _READ // size)
            yield from _verified(metadata, inode, run.physical + first, count)
        position += last
    if position * size != inode.size:
        raise FilesystemError(f"directory inode {inode.number} has a hole at its block {position}")


def _verified(metadata: Metadata, inode: Inode, first: int, count: int) -> Iterator[bytes]:
    size, verify = metadata.superblock.block_size, metadata.library.ext2fs_dir_block_csum_verify
    data = metadata.channel.metadata(count * size, first * size)
    for offset in range(0, len(data), size):
        block = data[offset : offset + size]
        if not verify(metadata.handle, inode.number, block):
            raise FilesystemError(f"directory inode {inode.number}: wrong checksum in a block")
        yield block
