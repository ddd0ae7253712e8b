"""Disk images compressed by gzip, decompressed once to sparse scratch."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from isal import isal_zlib

from converters import headway
from converters.disks.raw import FileDisk, RawDisk
from converters.disks.scratch import SparseFile
from converters.errors import DiskError, LimitError, ScratchFullError

_PIECE = 1 << 20
_GZIP_WINDOW = 16 + 15
"""Of zlib's ``wbits``: a gzip stream with the largest window."""
LARGEST_IMAGE = 64 << 40
"""Bytes of an image whose disk's size nobody says; vSphere's largest disk has 62 TB."""


class UnpackedDisk(RawDisk):
    """A file of scratch that goes with the disk."""

    def close(self) -> None:
        """Close and remove the file; a second call does nothing."""
        super().close()
        Path(self.path).unlink(missing_ok=True)


def gunzip(packed: FileDisk, name: str, capacity: int | None, largest: int) -> UnpackedDisk:
    """What ``packed`` holds, in the folder for temporary files; zeros take no space.

    Args:
        capacity: bytes of the disk, where its envelope tells them.
        largest: bytes that it may hold where none does.

    Raises:
        DiskError: damaged, cut short, empty, or larger than an image of such a disk.
        LimitError: larger than ``largest``.
        ScratchFullError: no space left, or not even for as many bytes as are packed.
    """
    _check_room(packed, name)
    descriptor, path = tempfile.mkstemp(prefix="unpacked-")
    try:
        try:
            scratch = SparseFile(descriptor)
            size = _decompress(packed, name, scratch, _too_large(name, capacity, largest))
            if not size:
                raise DiskError(f"the gzip stream {name} holds nothing", "copy or export it again")
            scratch.finish(size)
        finally:
            os.close(descriptor)
        return UnpackedDisk(path)
    except BaseException:
        Path(path).unlink()
        raise


def _check_room(packed: FileDisk, name: str) -> None:
    """Compressed bytes are hardly ever more than what they stand for, zeros left out."""
    folder = tempfile.gettempdir()
    space = os.statvfs(folder)
    free = space.f_bavail * space.f_frsize
    if packed.size > free:
        raise ScratchFullError(
            f"{name} is unpacked to {folder}, and takes there more than its {packed.size} bytes, where "
            f"{free} are free"
        )


def _too_large(name: str, capacity: int | None, largest: int) -> Callable[[int], None]:
    """What raises the error of an image of too many bytes: beside data it has tables and headers."""
    limit = largest if capacity is None else capacity + capacity // 32 + (64 << 20)

    def check(size: int) -> None:
        if size <= limit:
            return
        if capacity is None:
            raise LimitError(
                f"{name} unpacks to more than {limit} bytes",
                "if the disk is that large, unpack it yourself or raise --reader-unpack",
            )
        raise DiskError(f"{name} unpacks to more than the {limit} bytes that its disk can take")

    return check


def _decompress(packed: FileDisk, name: str, scratch: SparseFile, check: Callable[[int], None]) -> int:
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
        check(size + len(plain))
        scratch.write(plain, size)
        headway.advance()
        size += len(plain)
