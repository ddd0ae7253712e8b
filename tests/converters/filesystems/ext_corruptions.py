"""Reads a file system again and again with bits flipped, in a process of its own, so that a crash is seen.

``python -m tests.converters.filesystems.ext_corruptions IMAGE FIRST LAST`` prints one line for each seed.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

from converters.errors import ConvertError
from converters.filesystems.base import Entry, Kind
from converters.filesystems.ext import ExtFilesystem
from tests.converters.filesystems.ext_images import MemoryDisk

LARGEST_READ = 16 << 20
"""Bytes. A lying size makes a file of zeros without end, which is for its reader to refuse."""


def read_all(data: bytes) -> list[tuple[Entry, bytes]]:
    """Every entry with its bytes."""
    with ExtFilesystem(MemoryDisk(data)) as filesystem:
        return [
            (entry, b"".join(filesystem.read(entry)))
            if entry.kind is Kind.FILE and entry.size <= LARGEST_READ
            else (entry, b"")
            for entry in filesystem.walk()
        ]


def metadata_places(data: bytes) -> list[int]:
    """Offsets of the bytes of 64 KiB chunks that hold anything, but for what is inside files."""
    with ExtFilesystem(MemoryDisk(data)) as filesystem:
        inside: set[int] = set()
        for entry in filesystem.walk():
            if entry.kind is Kind.FILE:
                for _, offset, length in filesystem.runs(entry) or ():
                    inside.update(range(offset, offset + length))
    return [
        place
        for start in range(0, len(data), 1024)
        if any(data[start : start + 1024])
        for place in range(start, start + 1024)
        if place not in inside
    ]


def main(image: str, first: int, last: int) -> None:
    """Try each seed: ``equal``, ``different``, or the kind of the error."""
    data = Path(image).read_bytes()
    expected, places = read_all(data), metadata_places(data)
    for seed in range(first, last):
        generator = random.Random(seed)
        damaged = bytearray(data)
        for place in generator.sample(places, generator.choice((1, 1, 2, 8))):
            damaged[place] ^= 1 << generator.randrange(8)
        try:
            outcome = "equal" if read_all(bytes(damaged)) == expected else "different"
        except ConvertError as error:
            outcome = error.kind
        print(seed, outcome, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
