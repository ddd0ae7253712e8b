"""Disk images in every format, made by qemu-img, and what they read as."""

from __future__ import annotations

import subprocess
from contextlib import closing
from pathlib import Path

from converters.disks import Disk, detect, open_disk

_PIECE = 1_000_003


def make(format: str, subformat: str, source: Path, target: Path) -> Path:
    """``source`` as an image of ``format`` at ``target``."""
    options = ["-o", f"subformat={subformat}"] if subformat else []
    if format == "vpc":
        options = ["-o", "force_size=on"]  # else QEMU rounds the size up to a geometry
    subprocess.run(["qemu-img", "convert", "-O", format, *options, str(source), str(target)], check=True)
    return target


def content(disk: Disk) -> bytes:
    """All bytes of a disk, read in pieces that fit no block."""
    return b"".join(disk.pread(_PIECE, offset) for offset in range(0, disk.size, _PIECE))


def opened(path: Path) -> bytes:
    """All bytes of the disk image at ``path``."""
    with closing(open_disk(detect(str(path)))) as disk:
        return content(disk)
