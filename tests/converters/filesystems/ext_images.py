"""Small ext images made by mke2fs(8) without privileges, and their parts changed with debugfs(8)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from converters.disks import RawFile, open_disk
from converters.filesystems.ext import ExtFilesystem

QUIET = {**os.environ, "E2FSPROGS_LIBMAGIC_SUPPRESS": "1", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


class MemoryDisk:
    """A disk in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def size(self) -> int:
        return len(self._data)

    def pread(self, length: int, offset: int) -> bytes:
        return self._data[offset : offset + length]

    def close(self) -> None:
        pass


def make(image: Path, *options: str, size: int = 8 << 20, folder: Path | None = None) -> Path:
    """An ext file system of ``size`` bytes in ``image``, holding what ``folder`` holds."""
    with open(image, "wb") as file:
        file.truncate(size)
    filled = ["-d", str(folder)] if folder else []
    subprocess.run(
        ["mke2fs", "-q", "-F", *options, *filled, str(image)],
        check=True,
        env=QUIET,
        stderr=subprocess.DEVNULL,
    )
    return image


def debugfs(image: Path, *commands: str) -> str:
    """Run ``commands`` on ``image``, which they may change; what they print."""
    done = subprocess.run(
        ["debugfs", "-w", "-f", "-", str(image)],
        input="\n".join(commands),
        capture_output=True,
        text=True,
        check=True,
        env=QUIET,
    )
    return done.stdout


def patch(image: Path, offset: int, data: bytes) -> None:
    """Overwrite bytes of ``image``."""
    with open(image, "r+b") as file:
        file.seek(offset)
        file.write(data)


@contextmanager
def opened(image: Path, start: int = 0, size: int | None = None) -> Iterator[ExtFilesystem]:
    """The file system in ``image``, its disk closed afterwards."""
    disk = open_disk(RawFile(str(image)))
    try:
        with ExtFilesystem(disk, start, size) as filesystem:
            yield filesystem
    finally:
        disk.close()
