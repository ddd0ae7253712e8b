"""XFS images made by mkfs.xfs(8)."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from converters.disks import RawFile, open_disk
from converters.filesystems.xfs import XfsFilesystem

SIZE = 320 << 20
"""Bytes: mkfs.xfs makes none below 300 MiB."""


def make(image: Path, *options: str, size: int = SIZE) -> Path:
    """An empty XFS of ``size`` bytes in ``image``."""
    with open(image, "wb") as file:
        file.truncate(size)
    subprocess.run(["mkfs.xfs", "-q", "-f", *options, str(image)], check=True)
    return image


@contextmanager
def opened(image: Path, start: int = 0, size: int | None = None) -> Iterator[XfsFilesystem]:
    """The file system in ``image``, its disk closed afterwards."""
    disk = open_disk(RawFile(str(image)))
    try:
        with XfsFilesystem(disk, start, size) as filesystem:
            yield filesystem
    finally:
        disk.close()
