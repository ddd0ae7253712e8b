"""Whether XFS's log holds changes that are not in place yet (``fs/xfs/libxfs/xfs_log_format.h``).

An unmount writes one last record that says so. Every record begins with a header whose number (LSN) grows
with each; blocks of what is logged never begin with a header's magic number, for the log writes its cycle
there.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from converters.filesystems.xfs.metadata import Metadata

_BLOCK = 512
_MAGIC = b"\xfe\xed\xba\xbe"
_HEADER = struct.Struct(">4sIIIQQ4xII")
"""Magic, cycle, version, length, number, number of the tail, checksum, block before, operations."""
_SIZE_FIELD = 320
_HEADER_COVERS = 32 << 10
"""Bytes of a record for which one block of header is enough."""
_VERSION_2 = 2
_OPERATION = struct.Struct(">IIBB")
"""Transaction, length, client, flags."""
_UNMOUNT = 0x20
_PIECE = 1 << 20


class _Record(NamedTuple):
    number: int
    offset: int
    """Bytes from the log's start."""
    operations: int
    header: int
    """Bytes."""


def is_dirty(metadata: Metadata) -> bool:
    """Whether the last record is not that of an unmount.

    Also where it cannot be told: the kernel, who replays the log then, knows.

    Raises:
        DiskError: the disk cannot be read.
        FilesystemError: the log lies outside the file system.
    """
    superblock = metadata.superblock
    start = superblock.block_offset(superblock.log_start)
    size = superblock.log_blocks * superblock.block_size
    last = _last_record(metadata, start, size)
    if last is None or last.operations != 1:
        return True
    body = (last.offset + last.header) % size
    _, _, _, flags = _OPERATION.unpack_from(metadata.range.read(_BLOCK, start + body))
    return not flags & _UNMOUNT


def _last_record(metadata: Metadata, start: int, size: int) -> _Record | None:
    last: _Record | None = None
    for position in range(0, size, _PIECE):
        piece = metadata.range.read(min(_PIECE, size - position), start + position)
        found = piece.find(_MAGIC)
        while found >= 0:
            if found % _BLOCK == 0:
                record = _record(piece[found : found + _BLOCK], position + found)
                if record is not None and (last is None or record.number > last.number):
                    last = record
            found = piece.find(_MAGIC, found + 1)
    return last


def _record(block: bytes, offset: int) -> _Record | None:
    """The record whose header this is; None when it does not lie where it says."""
    _, cycle, version, _, number, _, _, operations = _HEADER.unpack_from(block)
    if number >> 32 != cycle or (number & 0xFFFFFFFF) * _BLOCK != offset:
        return None
    size = int.from_bytes(block[_SIZE_FIELD : _SIZE_FIELD + 4], "big")
    blocks = max(1, -(-size // _HEADER_COVERS)) if version & _VERSION_2 else 1
    return _Record(number, offset, operations, blocks * _BLOCK)
