"""Inodes (kernel ``Documentation/filesystems/ext4/inodes.rst`` and ``fs/ext4/inode.c``)."""

from __future__ import annotations

import struct
from typing import NamedTuple

from converters.errors import FilesystemError
from converters.filesystems.base import KINDS, Kind
from converters.filesystems.ext.superblock import EA_INODES, WIDE, Superblock

GOOD_OLD_SIZE = 128
_XATTR_MAGIC = b"\x00\x00\x02\xea"

ENCRYPTED = 0x800
EXTENTS = 0x80000
VERITY = 0x100000
EA_INODE = 0x200000
INLINE_DATA = 0x10000000

_BASE = struct.Struct("<HHII4xi4xHHII4x60s4xII4xHHHH4x")
_EXTRA = struct.Struct("<H6xI")
"""From byte 128: how many bytes are in use from there, nanoseconds and high bits of the modification time."""
_SECOND = 1_000_000_000


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
    atime: int
    """The low 32 bits: of an inode that holds an attribute's value, the checksum of the value."""
    mtime_ns: int
    nlink: int
    sectors: int
    """Units of 512 bytes that it takes on disk."""
    flags: int
    block: bytes
    """The 60 bytes of ``i_block``: extents, block numbers, a short link's target, a device number, data."""
    xattr_block: int
    """Block of its extended attributes, or 0."""
    xattr_area: bytes
    """Extended attributes inside the inode, from the first entry to the inode's end; empty when none."""

    def is_fast_symlink(self, geometry: Superblock) -> bool:
        """Whether the target is in ``block`` itself (``ext4_inode_is_fast_symlink``).

        It is when no sectors are taken but those of the attribute block. Where attributes may have inodes of
        their own, which count among the sectors, the length decides.
        """
        if geometry.incompat & EA_INODES:
            return 0 < self.size < len(self.block) and not self.flags & INLINE_DATA
        attributes = geometry.cluster_size >> 9 if self.xattr_block else 0
        return not self.flags & INLINE_DATA and self.sectors == attributes

    def device(self) -> tuple[int, int]:
        """Major and minor number (``old_decode_dev`` and ``new_decode_dev`` of the kernel's ``kdev_t.h``)."""
        old, new = struct.unpack_from("<II", self.block)
        if old:
            return old >> 8 & 0xFF, old & 0xFF
        return new >> 8 & 0xFFF, new & 0xFF | new >> 12 & 0xFFF00


def decode(raw: bytes, number: int, superblock: Superblock) -> Inode:
    """The inode ``number`` in ``raw``, its bytes on disk, whose checksum was right.

    Raises:
        FilesystemError: not in use, or a field has no meaning.
    """
    # fmt: off
    (mode, uid, size, atime, seconds, gid, nlink, sectors, flags, block, xattr_block, size_high,
     sectors_high, xattr_block_high, uid_high, gid_high) = _BASE.unpack_from(raw)
    # fmt: on
    kind = KINDS.get(mode & 0o170000)
    if kind is None or not nlink:
        raise FilesystemError(f"inode {number} has a name and is not in use (mode {mode:o}, {nlink} links)")
    if kind is Kind.FILE:
        size |= size_high << 32
        if size >> 63:
            raise FilesystemError(f"inode {number} has a negative size")
    if superblock.incompat & WIDE:
        xattr_block |= xattr_block_high << 32
    mtime_ns, area = seconds * _SECOND, b""
    if len(raw) > GOOD_OLD_SIZE:
        extra_size, extra = _EXTRA.unpack_from(raw, GOOD_OLD_SIZE)
        start = GOOD_OLD_SIZE + extra_size
        if extra_size & 3 or start > len(raw):
            raise FilesystemError(f"inode {number} says that it is {start} bytes long")
        # An inode that never used its extra space is read as if it had the usual one (__ext4_iget).
        if extra_size >= _EXTRA.size or not extra_size:
            mtime_ns += ((extra & 3) << 32) * _SECOND + (extra >> 2)
        if extra_size and raw[start : start + 4] == _XATTR_MAGIC:
            area = raw[start + 4 :]
    return Inode(
        number,
        kind,
        mode & 0o7777,
        uid | uid_high << 16,
        gid | gid_high << 16,
        size,
        atime,
        mtime_ns,
        nlink,
        sectors | sectors_high << 32,
        flags,
        block,
        xattr_block,
        area,
    )
