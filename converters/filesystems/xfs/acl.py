"""POSIX access control lists as XFS stores them (``fs/xfs/xfs_acl.c``), and as getxattr(2) gives them."""

from __future__ import annotations

import struct

from converters.errors import FilesystemError

NAMES = {
    b"SGI_ACL_FILE": b"system.posix_acl_access",
    b"SGI_ACL_DEFAULT": b"system.posix_acl_default",
}
"""Attributes in the trusted namespace that hold one, and the name that programs know it by."""

_COUNT = struct.Struct(">I")
_STORED = struct.Struct(">IIH2x")
_SHOWN = struct.Struct("<HHI")
_VERSION = struct.pack("<I", 2)
_WITH_ID = (0x02, 0x08)
"""Tags of named users and groups: the only entries whose id means something (acl(5))."""
_NO_ID = 0xFFFFFFFF


def value(disk: bytes) -> bytes:
    """What getxattr(2) gives for the list stored as ``disk``.

    Raises:
        FilesystemError: damaged.
    """
    if len(disk) < _COUNT.size or len(disk) - _COUNT.size != _COUNT.unpack_from(disk)[0] * _STORED.size:
        raise FilesystemError("a damaged access control list")
    shown = bytearray(_VERSION)
    for tag, owner, permissions in _STORED.iter_unpack(disk[_COUNT.size :]):
        if tag > 0xFFFF:
            raise FilesystemError("a damaged access control list")
        shown += _SHOWN.pack(tag, permissions, owner if tag in _WITH_ID else _NO_ID)
    return bytes(shown)
