"""What btrfs compresses extents with; output is bounded by what the extent says it holds.

Streams may end short of that: the kernel then gives zeros (``btrfs_decompress_bio``).
"""

from __future__ import annotations

import zlib
from enum import IntEnum

import zstandard
from lzallright import LZOCompressor, LZOError

from converters.errors import FilesystemError


class Compression(IntEnum):
    """As extents name it (``btrfs_compression_type``)."""

    NONE = 0
    ZLIB = 1
    LZO = 2
    ZSTD = 3


LARGEST = 128 << 10
"""Bytes of the largest compressed extent, on disk and decompressed (``BTRFS_MAX_UNCOMPRESSED``)."""

_WINDOW = 1 << 17
"""Bytes that a Zstandard stream may look back (``ZSTD_BTRFS_MAX_WINDOWLOG``)."""
_LENGTH = 4
_LARGEST_SEGMENT = 4
"""Times the bytes of a sector; the kernel allows one and a sixteenth."""


def decompress(kind: int, data: bytes, size: int, sector: int) -> bytes:
    """``size`` bytes from the compressed ``data`` of an extent.

    Args:
        sector: bytes of the file system's sectors, at which LZO is cut.

    Raises:
        FilesystemError: damaged, larger than any extent, or of a kind that is not known.
    """
    if size > LARGEST or len(data) > LARGEST:
        raise FilesystemError(f"a compressed extent of btrfs claims {size} bytes in {len(data)}")
    try:
        match kind:
            case Compression.ZLIB:
                found = _zlib(data, size)
            case Compression.LZO:
                found = _lzo(data, size, sector)
            case Compression.ZSTD:
                found = _zstd(data, size)
            case _:
                raise FilesystemError(f"an extent of btrfs is compressed in the unknown way {kind}")
    except (zlib.error, zstandard.ZstdError, LZOError) as error:
        raise FilesystemError(f"a compressed extent of btrfs is damaged: {error}") from error
    return found if len(found) == size else found[:size].ljust(size, b"\0")


def _zlib(data: bytes, size: int) -> bytes:
    stream = zlib.decompressobj()
    found = stream.decompress(data, size)
    if len(found) < size and not stream.eof:
        raise FilesystemError("a compressed extent of btrfs is damaged: its stream is cut off")
    return found


def _zstd(data: bytes, size: int) -> bytes:
    decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
    found = decompressor.stream_reader(data).read(size)
    if len(found) < size:
        whole = decompressor.decompressobj()  # gives all that it can at once, which now is known to be little
        whole.decompress(data)
        if not whole.eof:
            raise FilesystemError("a compressed extent of btrfs is damaged: its stream is cut off")
    return found


def _lzo(data: bytes, size: int, sector: int) -> bytes:
    """A length of the whole, then segments of a sector each with its own; no length crosses a sector."""
    end = int.from_bytes(data[:_LENGTH], "little")
    if not _LENGTH < end <= len(data):
        raise FilesystemError("a compressed extent of btrfs is damaged: impossible length")
    place = _LENGTH
    found: list[bytes] = []
    left = size
    while place + _LENGTH <= end and left > 0:
        length = int.from_bytes(data[place : place + _LENGTH], "little")
        place += _LENGTH
        if not 0 < length <= min(end - place, _LARGEST_SEGMENT * sector):
            raise FilesystemError("a compressed extent of btrfs is damaged: impossible length")
        piece = LZOCompressor.decompress(data[place : place + length], sector)
        if len(piece) > sector:
            raise FilesystemError("a compressed extent of btrfs is damaged: a segment is too long")
        found.append(piece)
        left -= len(piece)
        place += length
        if sector - place % sector < _LENGTH:
            place += sector - place % sector
    return b"".join(found)
