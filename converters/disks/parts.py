"""Parts of files one after another: chunks, split images, members of archives."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from converters.disks.base import FilePart
from converters.disks.raw import Extent, ExtentDisk, FileDisk, RawDisk, allow_files
from converters.errors import DiskError

_MOST_PARTS = 100_000
_FIRST_NUMBERS = ("000", "001", "000000000")
"""How the first of several files is numbered: by split(1), by imagers, by an OVF's ``chunkSize``."""


def open_parts(parts: Iterable[FilePart]) -> FileDisk:
    """The parts as one, for the caller to close.

    Raises:
        DiskError: one is absent, empty, or shorter than it should be.
    """
    parts = tuple(parts)
    allow_files(len(parts))
    extents: list[Extent] = []
    opened: dict[str, RawDisk] = {}
    with ExitStack() as stack:
        for part in parts:
            file = opened.get(part.path)
            if file is None:
                file = opened[part.path] = stack.enter_context(RawDisk(part.path))
            size = file.size - part.offset if part.size is None else part.size
            if size <= 0 or part.offset < 0 or part.offset + size > file.size:
                raise DiskError(
                    f"{part.path} has {file.size} bytes, and a disk is said to lie in the {size} from byte "
                    f"{part.offset}",
                    "copy or export it again",
                )
            extents.append(Extent(file, part.offset, size))
        stack.pop_all()
    if not extents:
        raise DiskError("a disk without any file", "export it again")
    only = extents[0].disk
    return only if only is not None and tuple(extents) == only.extents else ExtentDisk(extents)


def numbered_files(path: str) -> list[str]:
    """The files of an image split by number (``disk.000``, ``disk.001``…), or the path alone."""
    stem, dot, number = path.rpartition(".")
    if not dot or number not in _FIRST_NUMBERS:
        return [path]
    pieces = [path]
    while len(pieces) < _MOST_PARTS:
        following = f"{stem}.{int(number) + len(pieces):0{len(number)}d}"
        if not Path(following).exists():
            break
        pieces.append(following)
    return pieces
