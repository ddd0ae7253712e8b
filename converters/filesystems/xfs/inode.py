"""Inodes of XFS (``struct xfs_dinode`` in ``fs/xfs/libxfs/xfs_format.h``)."""

from __future__ import annotations

import stat
import struct
from enum import IntEnum
from typing import NamedTuple

from converters.errors import FilesystemError
from converters.filesystems.base import Kind
from converters.filesystems.xfs import checksum
from converters.filesystems.xfs.superblock import Superblock

MAGIC = b"IN"
REALTIME = 0x1

_CORE = struct.Struct(">2sHBBHIII4xQ8xii8xQQIIHBBIHH8x")
"""Magic, mode, version, format, old link count, owner, group, link count, big extent count, modification
time, size, blocks, extent size hint, extents, extents of attributes, fork offset, format of attributes, two
fields for tape archives, flags."""
_EXTENSION = struct.Struct(">Q8xQ24xQ16s")
"""From byte 104 of version 3: change count, flags, own number, UUID of the file system."""
_CHECKSUM = 100
_SHORT_CORE, _LONG_CORE = 100, 176
_BIG_TIME, _BIG_COUNTS = 0x8, 0x10
_SECOND = 1_000_000_000
_BIG_TIME_EPOCH = 1 << 31
"""Seconds before 1970 at which counting begins, with ``bigtime``."""

_KINDS = {
    stat.S_IFREG: Kind.FILE,
    stat.S_IFDIR: Kind.DIRECTORY,
    stat.S_IFLNK: Kind.SYMLINK,
    stat.S_IFCHR: Kind.CHARACTER,
    stat.S_IFBLK: Kind.BLOCK,
    stat.S_IFIFO: Kind.FIFO,
    stat.S_IFSOCK: Kind.SOCKET,
}


class Format(IntEnum):
    """What a fork of an inode holds."""

    DEVICE = 0
    LOCAL = 1
    """The content itself."""
    EXTENTS = 2
    BTREE = 3
    """The root of a tree of extents."""


class Fork(NamedTuple):
    """One of the two contents of an inode: data, or extended attributes."""

    format: Format
    area: bytes
    """Its bytes in the inode."""
    extents: int
    """How many extents it has, also in its tree."""


class Inode(NamedTuple):
    """One inode, decoded."""

    number: int
    kind: Kind
    mode: int
    """Permission bits with setuid, setgid and sticky."""
    uid: int
    gid: int
    size: int
    """Bytes, whatever the kind."""
    mtime_ns: int
    nlink: int
    flags: int
    data: Fork
    attributes: Fork | None

    def device(self) -> tuple[int, int]:
        """Major and minor number (``sysv_major`` and ``sysv_minor`` of the kernel's ``kdev_t.h``)."""
        number = int.from_bytes(self.data.area[:4], "big")
        return number >> 18 & 0x3FFF, number & 0x3FFFF


def decode(raw: bytes, number: int, superblock: Superblock) -> Inode:
    """The inode ``number`` in ``raw``, its bytes on disk.

    Raises:
        FilesystemError: not in use, or damaged.
    """
    (magic, mode, version, form, old_links, uid, gid, links, big, seconds, nanoseconds, size, _, _, count) = (
        _CORE.unpack_from(raw)[:15]
    )
    attribute_count, offset, attribute_form, _, _, flags = _CORE.unpack_from(raw)[15:]
    if magic != MAGIC or version not in ((3,) if superblock.has_checksums else (1, 2)):
        raise FilesystemError(f"inode {number} is damaged: no inode of this file system is there")
    kind = _KINDS.get(stat.S_IFMT(mode))
    if kind is None:
        raise FilesystemError(f"inode {number} is not in use, and a name leads to it")
    core = _SHORT_CORE
    if version == 3:
        core = _LONG_CORE
        _, flags2, own, uuid = _EXTENSION.unpack_from(raw, 104)
        if own != number or uuid != superblock.uuid or not checksum.is_right(raw, _CHECKSUM):
            raise FilesystemError(f"inode {number} is damaged: wrong checksum")
        if flags2 & _BIG_COUNTS:
            count, attribute_count = big, count
        if flags2 & _BIG_TIME:
            since = (seconds & 0xFFFFFFFF) << 32 | nanoseconds & 0xFFFFFFFF
            seconds, nanoseconds = since // _SECOND - _BIG_TIME_EPOCH, since % _SECOND
    if not 0 <= nanoseconds < _SECOND or size >> 63:
        raise FilesystemError(f"inode {number} is damaged: impossible time or size")
    data, attributes = _forks(raw[core:], number, form, count, offset << 3, attribute_form, attribute_count)
    return Inode(
        number,
        kind,
        mode & 0o7777,
        uid,
        gid,
        size,
        seconds * _SECOND + nanoseconds,
        old_links if version == 1 else links,
        flags,
        data,
        attributes,
    )


def _forks(
    area: bytes, number: int, form: int, count: int, offset: int, attribute_form: int, attribute_count: int
) -> tuple[Fork, Fork | None]:
    """What lies behind the core: the data's fork, and from ``offset`` on that of the attributes."""
    try:
        if offset >= len(area):
            raise ValueError("its attributes begin behind its end")
        if not offset:
            return Fork(Format(form), area, count), None
        attributes = Fork(Format(attribute_form), area[offset:], attribute_count)
        return Fork(Format(form), area[:offset], count), attributes
    except ValueError as error:
        raise FilesystemError(f"inode {number} is damaged: {error}") from error
