"""Volumes as ranges of files, which is what user-mode Linux takes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from converters.disks import Disk
from converters.disks.copying import copy_range, stored
from converters.disks.mapped import MappedDisk
from converters.disks.raw import ExtentDisk, RawDisk
from converters.filesystems.uml.errors import NoRoomError
from converters.volumes.base import Volume

_DEEPEST = 16
"""Disks made of others, one in the other."""


@dataclass(frozen=True, slots=True)
class Range:
    """``size`` bytes from ``start`` of the raw image at ``path``: a volume."""

    path: Path
    start: int
    size: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where the bytes of a volume lie in a file as they are."""

    file: RawDisk
    start: int
    size: int

    @property
    def range(self) -> Range:
        """The same by the file's name."""
        return Range(Path(self.file.path), self.start, self.size)


def place_of(disk: Disk, start: int, size: int) -> Place | None:
    """Where ``size`` bytes of ``disk`` lie in one piece of a file; None where they do not.

    So a logical volume of one segment on a raw disk is read and replayed where it is.
    """
    for _ in range(_DEEPEST):
        match disk:
            case RawDisk():
                return Place(disk, start, size)
            case MappedDisk() | ExtentDisk():
                found = disk.piece(start, size)
                if found is None:
                    return None
                disk, start = found
            case _:
                return None
    return None


@contextmanager
def in_file(disk: Disk, start: int, size: int, copy: Path) -> Iterator[Place]:
    """Where the bytes of a volume lie in a file: their own, or one at ``copy`` while this is entered.

    Raises:
        DiskError: the disk cannot be read.
        NoRoomError: a copy may not fit.
        ScratchFullError: it did not fit.
    """
    place = place_of(disk, start, size)
    if place is not None:
        yield place
        return
    _check_room(copy.parent, stored(disk, start, size))
    try:
        copy_range(disk, start, size, copy)
        with RawDisk(str(copy)) as file:
            yield Place(file, start, size)
    finally:
        copy.unlink(missing_ok=True)


def _check_room(folder: Path, needed: int) -> None:
    """A copy that cannot end would only take the room of other readers."""
    space = os.statvfs(folder)
    free = space.f_bavail * space.f_frsize
    if needed > free:
        raise NoRoomError(
            f"user-mode Linux reads files, and a copy of the volume takes up to {needed} bytes, where the "
            f"scratch folder {folder} has {free}",
            "point --scratch at a larger file system, or give the disk as a raw image",
        )


class Ranges:
    """Volumes as files that user-mode Linux takes, for as long as ``stack`` is open."""

    def __init__(self, scratch: Path, stack: ExitStack) -> None:
        self._scratch = scratch
        self._stack = stack

    def of(self, disks: Sequence[Disk], volume: Volume) -> Range:
        """The range of ``volume``, which is on one of ``disks``. Raises as ``in_file``."""
        copy = self._scratch / f"volume-{volume.disk}-{volume.start}.raw"
        place = in_file(disks[volume.disk], volume.start, volume.size, copy)
        return self._stack.enter_context(place).range
