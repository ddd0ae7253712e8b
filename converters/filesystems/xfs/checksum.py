"""The checksum of XFS's metadata: CRC-32C over a structure whose field counts as zero (``xfs_cksum.h``)."""

from __future__ import annotations

from functools import cache
from typing import Protocol

from converters.filesystems.ext import library

_SEED = 0xFFFFFFFF
_NOTHING = bytes(4)


class _Crc(Protocol):
    def __call__(self, seed: int, data: bytes, length: int, /) -> int:
        """CRC-32C without the last inversion."""


def is_right(data: bytes, field: int) -> bool:
    """Whether the checksum at byte ``field`` of ``data`` is that of ``data``."""
    content = data[:field] + _NOTHING + data[field + 4 :]
    expected = _crc()(_SEED, content, len(content)) ^ 0xFFFFFFFF
    return expected == int.from_bytes(data[field : field + 4], "little")


@cache
def _crc() -> _Crc:
    # libext2fs has one in C, and is at hand wherever disks are read.
    function: _Crc = library.load().ext2fs_crc32c_le
    return function
