"""Extended attributes of ext2, ext3 and ext4 (kernel ``Documentation/filesystems/ext4/attributes.rst``)."""

from __future__ import annotations

import struct
from typing import NamedTuple

from converters.errors import FilesystemError

BLOCK_MAGIC = 0xEA020000
BLOCK_HEADER = 32
LARGEST = 65536
"""Bytes of the largest value that setxattr(2) takes (``XATTR_SIZE_MAX``)."""

_ENTRY = struct.Struct("<BBHIII")
_BLOCK_HEADER = struct.Struct("<I4xI")

_SYSTEM = 7
_ACCESS_ACL, _DEFAULT_ACL = 2, 3
_PREFIXES = {
    1: b"user.",
    _ACCESS_ACL: b"system.posix_acl_access",
    _DEFAULT_ACL: b"system.posix_acl_default",
    4: b"trusted.",
    6: b"security.",
    10: b"gnu.",
}
"""Name indices that the kernel shows (``ext4_xattr_handler_map``). It hides the others: 7 is inline data,
9 the context of an encrypted inode."""

_ACL_HEADER = struct.Struct("<I")
_ACL_SHORT = struct.Struct("<HH")
_ACL_LONG = struct.Struct("<HHI")
_ACL_DISK_VERSION, _ACL_VERSION = 1, 2
_ACL_WITH_ID = (0x02, 0x08)
"""Tags of named users and groups: the only entries that hold an id (acl(5))."""
_ACL_NO_ID = 0xFFFFFFFF


class Attribute(NamedTuple):
    """One attribute as it lies on disk."""

    prefix: int
    """Index of what its name begins with."""
    name: bytes
    """The rest of its name."""
    value: bytes
    """Its value; empty when it is elsewhere."""
    inode: int = 0
    """The inode whose data is the value, or 0."""
    size: int = 0
    """Bytes of a value that is elsewhere."""


def parse_area(area: bytes) -> tuple[Attribute, ...]:
    """The attributes inside an inode; ``area`` reaches from the first entry to the inode's end.

    Raises:
        FilesystemError: damaged.
    """
    return _parse(area, 0)


def parse_block(block: bytes) -> tuple[Attribute, ...]:
    """The attributes in a block of their own, whose checksum was right.

    Raises:
        FilesystemError: damaged.
    """
    magic, count = _BLOCK_HEADER.unpack_from(block)
    if magic != BLOCK_MAGIC or count != 1:
        raise FilesystemError("a block of extended attributes without its magic number")
    return _parse(block, BLOCK_HEADER)


def full_name(attribute: Attribute) -> bytes | None:
    """The name getxattr(2) knows, None for an attribute that the kernel does not show."""
    beginning = _PREFIXES.get(attribute.prefix)
    return None if beginning is None else beginning + attribute.name


def is_inline_data(attribute: Attribute) -> bool:
    """Whether the value is a small file's data beyond its first 60 bytes."""
    return attribute.prefix == _SYSTEM and attribute.name == b"data"


def is_acl(attribute: Attribute) -> bool:
    """Whether the value is a POSIX ACL, which getxattr(2) gives in another form than the disk's."""
    return attribute.prefix in (_ACCESS_ACL, _DEFAULT_ACL)


def acl_value(disk: bytes) -> bytes:
    """What getxattr(2) gives for the ACL stored as ``disk`` (kernel ``fs/ext4/acl.c``).

    Raises:
        FilesystemError: damaged.
    """
    if len(disk) < _ACL_HEADER.size or _ACL_HEADER.unpack_from(disk)[0] != _ACL_DISK_VERSION:
        raise FilesystemError("an access control list of an unknown version")
    value, offset = bytearray(_ACL_HEADER.pack(_ACL_VERSION)), _ACL_HEADER.size
    while offset < len(disk):
        if len(disk) - offset < _ACL_SHORT.size:
            raise FilesystemError("a damaged access control list")
        tag, permissions = _ACL_SHORT.unpack_from(disk, offset)
        layout, owner = _ACL_SHORT, _ACL_NO_ID
        if tag in _ACL_WITH_ID:
            layout = _ACL_LONG
            if len(disk) - offset < layout.size:
                raise FilesystemError("a damaged access control list")
            owner = layout.unpack_from(disk, offset)[2]
        value += _ACL_LONG.pack(tag, permissions, owner)
        offset += layout.size
    return bytes(value)


def _parse(data: bytes, first: int) -> tuple[Attribute, ...]:
    """Entries from ``first`` on, up to one of four zero bytes; offsets count from ``data[0]``."""
    attributes, offset = [], first
    while data[offset : offset + 4] != b"\0\0\0\0":
        if offset + _ENTRY.size > len(data):
            raise FilesystemError("extended attributes that have no end")
        name_length, prefix, value_offset, inode, size, _ = _ENTRY.unpack_from(data, offset)
        name_start = offset + _ENTRY.size
        name = data[name_start : name_start + name_length]
        if len(name) != name_length or b"\0" in name or size > LARGEST:
            raise FilesystemError("a damaged extended attribute")
        if inode:
            attributes.append(Attribute(prefix, name, b"", inode, size))
        else:
            value = data[value_offset : value_offset + size]
            if len(value) != size:
                raise FilesystemError(f"the value of an extended attribute ({name!r}) lies outside its block")
            attributes.append(Attribute(prefix, name, value))
        offset = name_start + (name_length + 3 & ~3)
    return tuple(attributes)
