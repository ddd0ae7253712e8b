"""What a scratch folder holds, how fast it is, and whether a disk's holes take no space in it."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from converters.errors import ScratchFullError

_SAMPLE_BYTES = 64 << 20
_BLOCK_BYTES = 4 << 20
_SECTOR_BYTES = 512
"""The unit of ``st_blocks``, whatever the file system's own."""


@dataclass(frozen=True, slots=True)
class Space:
    """A worker's scratch space."""

    place: str
    """The same for workers that share it."""
    path: str
    free: int
    """Bytes."""
    written: float = 0.0
    """Bytes a second that reach the disk."""
    read: float = 0.0
    """Bytes a second that come back from it."""
    sparse: bool = True
    """Whether holes take no space."""


def measure(folder: Path, root: Path, seconds: float) -> Space:
    """The space around ``folder``, below ``root``.

    Args:
        seconds: for writing at most 64 MiB, and as much for reading them; a block of 4 MiB is always written.

    Raises ``ScratchFullError``.
    """
    free = shutil.disk_usage(folder).free
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=0) as sample:
            count, written = _write(sample, seconds)
            read = _read(sample, count, seconds)
        with tempfile.TemporaryFile(dir=folder, buffering=0) as hole:
            hole.truncate(_BLOCK_BYTES)
            sparse = os.fstat(hole.fileno()).st_blocks * _SECTOR_BYTES < _BLOCK_BYTES
    except OSError as error:
        raise ScratchFullError(f"{root} takes no {_SAMPLE_BYTES >> 20} MiB: {error}") from error
    place = f"{platform.node()}:{folder.stat().st_dev}"
    return Space(place, str(root), free, written, read, sparse)


def _write(sample: IO[bytes], seconds: float) -> tuple[int, float]:
    """Bytes written, and how many a second, each block down to the disk."""
    block = os.urandom(_BLOCK_BYTES)  # some file systems store zeros as nothing
    began, count = time.monotonic(), 0
    while count < _SAMPLE_BYTES:
        count += sample.write(block)
        os.fdatasync(sample.fileno())
        if time.monotonic() - began > seconds:
            break
    return count, count / (time.monotonic() - began)


def _read(sample: IO[bytes], count: int, seconds: float) -> float:
    """Bytes a second, from the disk and not from memory where the file system allows that."""
    os.posix_fadvise(sample.fileno(), 0, count, os.POSIX_FADV_DONTNEED)
    began, at = time.monotonic(), 0
    while at < count:
        at += len(os.pread(sample.fileno(), _BLOCK_BYTES, at))
        if time.monotonic() - began > seconds:
            break
    return at / max(time.monotonic() - began, 1e-9)
