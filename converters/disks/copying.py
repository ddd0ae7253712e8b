"""A range of a disk copied to a sparse file, for programs that take files only."""

from __future__ import annotations

import os
from pathlib import Path

from converters import headway
from converters.disks.base import Disk
from converters.disks.scratch import SparseFile, scratch_error
from converters.disks.stretches import stretches

_PIECE = 4 << 20


def stored(disk: Disk, start: int, size: int) -> int:
    """Bytes that a copy of ``size`` bytes from ``start`` takes at most: holes that the disk knows take none.

    Raises:
        DiskError: the disk cannot say.
    """
    total = 0
    for first, end in stretches(disk, start, start + size):
        headway.advance()
        total += end - first
    return total


def copy_range(disk: Disk, start: int, size: int, path: Path) -> None:
    """A new sparse file at ``path``, as large as ``disk``, with ``size`` bytes from ``start`` in their place.

    Raises:
        DiskError: the disk cannot be read.
        ScratchFullError: no space left.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise scratch_error(error, 0) from error
    try:
        copy = SparseFile(descriptor)
        for first, end in stretches(disk, start, start + size):
            for offset in range(first, end, _PIECE):
                copy.write(disk.pread(min(_PIECE, end - offset), offset), offset)
                headway.advance()
        copy.finish(disk.size)
    finally:
        os.close(descriptor)
