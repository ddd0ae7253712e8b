"""The machine's floor: each stage of a conversion alone, on one processor, over the same bytes."""

from __future__ import annotations

import hashlib
import mmap
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from converters.disks import detect
from converters.disks.open import open_disk
from converters.filesystems.base import Kind
from converters.filesystems.ext import ExtFilesystem
from converters.image.layer import BLOCK_SIZE, LEVEL, gzip_member
from converters.reader.parent import Reader
from converters.reading import Reading
from deploy.demo.guests import Guest


def write_tree(guest: Guest, archive: Path) -> None:
    """Write the guest's cleaned tree as tar: the bytes that the stages work on."""
    with Reader([detect(str(guest.raw))], Reading(), archive.parent) as reader, archive.open("wb") as file:
        reader.inspect()
        for piece in reader.tar():
            file.write(piece)


def stages(guest: Guest, archive: Path) -> Mapping[str, Callable[[], object]]:
    """What there is to measure, by name."""
    return {
        "read every file": lambda: _read(guest),
        "sha256": lambda: _over(archive, hashlib.sha256().update),
        f"igzip, level {LEVEL}": lambda: _over(archive, gzip_member),
    }


def seconds(stage: Callable[[], object]) -> float:
    """Wall time of one stage."""
    start = time.perf_counter()
    stage()
    return time.perf_counter() - start


def _over(archive: Path, work: Callable[[memoryview], object]) -> None:
    with (
        archive.open("rb") as file,
        mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped,
        memoryview(mapped) as view,
    ):
        for start in range(0, len(view), BLOCK_SIZE):
            with view[start : start + BLOCK_SIZE] as block:
                work(block)


def _read(guest: Guest) -> None:
    (root,) = (part for part in guest.partitions if part.mount == "/")
    disk = open_disk(detect(str(guest.raw)))
    try:
        with ExtFilesystem(disk, root.offset, root.size) as filesystem:
            for entry in filesystem.walk():
                if entry.kind is Kind.FILE:
                    for _ in filesystem.read(entry):
                        pass
    finally:
        disk.close()
