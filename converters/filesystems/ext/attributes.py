"""Extended attributes and inline data of an inode, wherever they are stored."""

from __future__ import annotations

import ctypes
from functools import lru_cache

from converters.errors import FilesystemError
from converters.filesystems.ext import inode as inodes
from converters.filesystems.ext import xattr
from converters.filesystems.ext.inode import Inode
from converters.filesystems.ext.metadata import Metadata
from converters.filesystems.memory import Cache

_UUID_SEED = 0xFFFFFFFF
_MOST = 16 << 20
"""Bytes of all values of one inode; a block of entries could claim 200 MB in inodes of their own."""


class Attributes:
    """Reads what hangs on inodes of ``metadata``; ``values`` keeps those that have inodes of their own.

    Any number of files may share such a value, and have one copy of it in memory then.
    """

    def __init__(self, metadata: Metadata, values: Cache[int, bytes]) -> None:
        self._metadata = metadata
        self._values = values
        self._buffer = ctypes.create_string_buffer(metadata.superblock.block_size)
        # One security policy puts the same bytes into thousands of inodes.
        self._parse_area = lru_cache(1024)(xattr.parse_area)
        self._parse_block = lru_cache(256)(xattr.parse_block)

    def of(self, inode: Inode) -> tuple[tuple[bytes, bytes], ...]:
        """Extended attributes as getxattr(2) gives them, by full name, sorted.

        Raises:
            FilesystemError: damaged.
        """
        if not inode.xattr_area and not inode.xattr_block:
            return ()
        found: dict[bytes, bytes] = {}
        total = 0
        try:
            for attribute in self._stored(inode):
                name = xattr.full_name(attribute)
                # The kernel looks into the inode first: of a name in both places, the inode's value counts.
                if name is not None and name not in found:
                    value = self._value(attribute)
                    total += len(value)
                    if total > _MOST:
                        raise FilesystemError(f"its extended attributes take more than {_MOST} bytes")
                    found[name] = xattr.acl_value(value) if xattr.is_acl(attribute) else value
        except FilesystemError as error:
            raise FilesystemError(f"inode {inode.number}: {error.message}") from error
        return tuple(sorted(found.items()))

    def inline(self, inode: Inode) -> bytes:
        """The data of an inode with inline data: 60 bytes in the inode itself, the rest in an attribute.

        Raises:
            FilesystemError: there is less than the inode's size.
        """
        for attribute in self._parse_area(inode.xattr_area) if inode.xattr_area else ():
            if xattr.is_inline_data(attribute):
                data = inode.block + self._value(attribute)
                if inode.size <= len(data):
                    return data[: inode.size]
        raise FilesystemError(f"inode {inode.number} holds less inline data than its {inode.size} bytes")

    def _stored(self, inode: Inode) -> tuple[xattr.Attribute, ...]:
        stored = self._parse_area(inode.xattr_area) if inode.xattr_area else ()
        if not inode.xattr_block:
            return stored
        metadata = self._metadata
        try:
            metadata.check_range(inode.xattr_block)
        except FilesystemError as error:
            raise FilesystemError(f"its extended attributes: {error.message}") from error
        # The checksum covers the block's number, not the inode's: many inodes may share the block.
        code = metadata.library.ext2fs_read_ext_attr3(metadata.handle, inode.xattr_block, self._buffer, 0)
        metadata.channel.check(code, f"its extended attributes at disk block {inode.xattr_block}")
        return stored + self._parse_block(self._buffer.raw)

    def _value(self, attribute: xattr.Attribute) -> bytes:
        """The value, from an inode of its own where it is stored so (``ea_inode``)."""
        if not attribute.inode:
            return attribute.value
        holder = self._metadata.inode(attribute.inode)
        if not holder.flags & inodes.EA_INODE or holder.size != attribute.size:
            raise FilesystemError(f"inode {holder.number} does not hold the extended attribute it should")
        known = self._values.get(holder.number)
        if known is not None:
            return known
        value = b"".join(self._metadata.chunks(holder))
        if self._checksum(value) != holder.atime:
            raise FilesystemError(f"wrong checksum of the extended attribute in inode {holder.number}")
        return self._values.put(holder.number, value, len(value))

    def _checksum(self, value: bytes) -> int:
        """``ext4_xattr_inode_hash``."""
        superblock, crc32c = self._metadata.superblock, self._metadata.library.ext2fs_crc32c_le
        seed = superblock.checksum_seed
        if seed is None:
            seed = crc32c(_UUID_SEED, superblock.uuid, len(superblock.uuid))
        checksum: int = crc32c(seed, value, len(value))
        return checksum
