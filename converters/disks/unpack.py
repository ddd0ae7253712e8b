"""Disk images compressed by gzip, decompressed once to sparse scratch."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from isal import isal_zlib

from converters import headway
from converters.disks.raw import FileDisk, RawDisk
from converters.disks.scratch import SparseFile
from converters.errors import DiskError

_PIECE = 1 << 20
_GZIP_WINDOW = 16 + 15
"""Of zlib's ``wbits``: a gzip stream with the largest window."""
LARGEST_IMAGE = 64 << 40
"""Bytes of an image whose disk's size nobody says; vSphere's largest disk has 62 TB."""


def image_limit(capacity: int | None) -> int:
    """The most bytes that an image of a disk of ``capacity`` bytes has: data, tables and headers."""
    return LARGEST_IMAGE if capacity is None else capacity + capacity // 32 + (64 << 20)


class UnpackedDisk(RawDisk):
    """A file of scratch that goes with the disk."""

    def close(self) -> None:
        """Close and remove the file; a second call does nothing."""
        super().close()
        Path(self.path).unlink(missing_ok=True)


def gunzip(packed: FileDisk, name: str, limit: int) -> UnpackedDisk:
    """What ``packed`` holds, in the folder for temporary files; zeros take no space.

    Raises:
        DiskError: damaged, cut short, empty, or of more than ``limit`` bytes.
        ScratchFullError: no space left.
    """
    descriptor, path = tempfile.mkstemp(prefix="unpacked-")
    try:
        try:
            scratch = SparseFile(descriptor)
            scratch.finish(_decompress(packed, name, scratch, limit))
        finally:
            os.close(descriptor)
        return UnpackedDisk(path)
    except BaseException:
        Path(path).unlink()
        raise


def _decompress(packed: FileDisk, name: str, scratch: SparseFile, limit: int) -> int:
    """The whole stream, which may have several members (RFC 1952, section 2.2); the bytes it holds."""
    engine = isal_zlib.decompressobj(_GZIP_WINDOW)
    place = size = 0
    data = b""
    while True:
        if not data:
            data = packed.pread(_PIECE, place)
            place += len(data)
        if engine.eof:
            if not data:
                return size
            data = data.lstrip(b"\0")  # padding, as on tapes
            engine = isal_zlib.decompressobj(_GZIP_WINDOW) if data else engine
            continue
        try:
            plain = engine.decompress(data, _PIECE)
        except isal_zlib.IsalError as error:  # type: ignore[misc]  # its stub says Exception, not type[Exception]
            raise DiskError(
                f"the gzip stream {name} is damaged after {size} bytes: {error}", "copy or export it again"
            ) from error
        if not (data or plain or engine.eof):
            raise DiskError(f"the gzip stream {name} ends early", "copy or export it again")
        data = engine.unused_data if engine.eof else engine.unconsumed_tail
        if size + len(plain) > limit:
            raise DiskError(f"{name} unpacks to more than the {limit} bytes that its disk can take")
        scratch.write(plain, size)
        headway.advance()
        size += len(plain)
