"""Directories of XFS (``fs/xfs/libxfs/xfs_da_format.h``): in the inode, in one block, or in many.

Where there are many, those with names come first; the index lies from ``_INDEX`` on, and a linear walk needs
none of it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from converters.errors import FilesystemError
from converters.filesystems.xfs import checksum
from converters.filesystems.xfs.directory_check import BlockCheck
from converters.filesystems.xfs.inode import Format, Inode
from converters.filesystems.xfs.metadata import Metadata
from converters.filesystems.xfs.superblock import Superblock

Name = tuple[bytes, int]
"""A name and the number of the inode it leads to."""

_INDEX = 1 << 35
"""Byte of the directory's content at which its index begins (``XFS_DIR2_LEAF_OFFSET``)."""
_FREE = 0xFFFF
_SHORT_HEADER, _LONG_HEADER = 16, 64
_CHECKSUM, _UUID, _OWNER = 4, slice(24, 40), slice(40, 48)
_TAIL = struct.Struct(">II")
"""At the end of a directory of one block: entries of its index and how many of them are unused."""
_INDEX_ENTRY = 8
_NUMBER_AND_LENGTH = struct.Struct(">QB")
_UNUSED = struct.Struct(">HH")
_ALIGNMENT = 8


def names(metadata: Metadata, inode: Inode) -> Iterator[Name]:
    """All that the directory ``inode`` holds but ``.`` and ``..``, in no order.

    Raises:
        FilesystemError: damaged.
    """
    superblock = metadata.superblock
    if inode.data.format is Format.LOCAL:
        yield from _short(inode, superblock.has_types)
        return
    found = 0
    for block in _blocks(metadata, inode):
        for name, number in _parse(block, inode.number, superblock):
            if name in (b".", b".."):
                found += 1
            else:
                yield name, number
    if found != 2:
        raise FilesystemError(f"directory inode {inode.number} does not name itself and its parent")


def _short(inode: Inode, has_types: bool) -> Iterator[Name]:
    """The entries of a directory that is in its inode: counts, the parent's number, then names."""
    data = inode.data.area[: inode.size]
    if len(data) != inode.size or len(data) < 6:
        raise FilesystemError(f"directory inode {inode.number} does not fit into its inode")
    count, wide = data[0], data[1]
    width = 8 if wide else 4
    count = max(count, wide)
    place = 2 + width
    for _ in range(count):
        if place + 3 > len(data):
            raise FilesystemError(f"directory inode {inode.number} ends before its {count} names")
        start = place + 3
        end = start + data[place]
        place = end + (1 if has_types else 0) + width
        if place > len(data):
            raise FilesystemError(f"directory inode {inode.number} ends before its {count} names")
        yield _checked(data[start:end], inode.number), int.from_bytes(data[place - width : place], "big")


def _blocks(metadata: Metadata, inode: Inode) -> Iterator[bytes]:
    """Every block with names, whole, its checksum verified."""
    size = metadata.superblock.directory_block_size
    if inode.size % size or inode.size > _INDEX:
        raise FilesystemError(f"directory inode {inode.number} has the impossible size {inode.size}")
    whole, expected, total = b"", 0, 0
    for offset, piece in metadata.pieces(inode, inode.data, inode.size):
        # Blocks without names are given back, so there may be holes between blocks, none within one.
        if offset != expected and (whole or offset % size):
            raise FilesystemError(f"directory inode {inode.number} has a hole within a block")
        # A small disk could claim a directory of gigabytes by giving one block again and again.
        total += len(piece)
        if total > metadata.superblock.blocks * metadata.superblock.block_size:
            raise FilesystemError(f"directory inode {inode.number} is larger than the file system")
        whole += piece
        expected = offset + len(piece)
        while len(whole) >= size:
            yield whole[:size]
            whole = whole[size:]
    if whole:
        raise FilesystemError(f"directory inode {inode.number} ends within a block")


def _parse(block: bytes, number: int, superblock: Superblock) -> Iterator[Name]:
    """The entries in use of one block of the directory ``number``."""
    magic, end = block[:4], len(block)
    one, many = (b"XDB3", b"XDD3") if superblock.has_checksums else (b"XD2B", b"XD2D")
    index, unused = None, 0
    if magic == one:
        entries, unused = _TAIL.unpack_from(block, end - _TAIL.size)
        end -= _TAIL.size + entries * _INDEX_ENTRY
        index = block[max(end, 0) : -_TAIL.size]
    elif magic != many:
        raise FilesystemError(f"directory inode {number}: a block without its magic number")
    check = _check(block, number, superblock, index, unused)
    place = _LONG_HEADER if superblock.has_checksums else _SHORT_HEADER
    after = 3 if superblock.has_types else 2
    while place < end:
        begin = place
        tag, length = _UNUSED.unpack_from(block, place)
        if tag == _FREE:
            place += length
            if not length or length % _ALIGNMENT or place > end:
                raise FilesystemError(f"directory inode {number}: damaged free space in a block")
            if check:
                check.free(begin, length)
            continue
        target, length = _NUMBER_AND_LENGTH.unpack_from(block, place)
        start = place + _NUMBER_AND_LENGTH.size
        place += -(-(_NUMBER_AND_LENGTH.size + length + after) // _ALIGNMENT) * _ALIGNMENT
        if place > end:
            raise FilesystemError(f"directory inode {number}: an entry reaches beyond its block")
        name = block[start : start + length]
        if check:
            check.entry(begin, place, name)
            superblock.inode_offset(target)  # of "." and ".." too, which nothing follows
        yield _checked(name, number), target
    if place != end:
        raise FilesystemError(f"directory inode {number}: a block does not end with its last entry")
    if check:
        check.end()


def _check(
    block: bytes, number: int, superblock: Superblock, index: bytes | None, unused: int
) -> BlockCheck | None:
    """Verifies the checksum; what has none is to be checked entry by entry."""
    if not superblock.has_checksums:
        return BlockCheck(block, None if superblock.folds_case else index, unused)
    if not (
        int.from_bytes(block[_OWNER], "big") == number
        and block[_UUID] == superblock.uuid
        and checksum.is_right(block, _CHECKSUM)
    ):
        raise FilesystemError(f"directory inode {number}: wrong checksum in a block")
    return None


def _checked(name: bytes, number: int) -> bytes:
    if not name or b"/" in name or b"\0" in name:
        raise FilesystemError(f"directory inode {number}: impossible name {name!r}")
    return name
