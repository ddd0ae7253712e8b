"""Damages a disk image again and again, and reads it each time: what came of each seed, line by line.

``python -m tests.hostile.damage IMAGE FIRST LAST`` in a process of its own: a crash and a hang are seen.
A result that is not the undamaged one is compared with what Linux shows of the damaged image.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from converters.disks import detect
from converters.errors import ConvertError
from converters.filesystems.base import Entry, Kind
from converters.filesystems.mounts import open_guest
from tests.hostile import judge
from tests.hostile.watching import READING

PATIENCE_SECONDS = 60
LARGEST = 16 << 20
"""Bytes of files that are read: a size that lies makes zeros without end, for which there is a limit."""
_BLOCK = 1024
_MOST_ALIKE = 16
_LONGEST_ZEROED = 64 << 10

Tree = dict[bytes, judge.Member]


def read_tree(image: Path, scratch: Path) -> Tree:
    """Everything that archives tell of a tree.

    Raises:
        ConvertError: it cannot be read.
    """
    members: Tree = {}
    first_names: dict[int, bytes] = {}
    with open_guest([detect(str(image))], scratch, READING) as tree:
        for entry in tree.walk():
            if entry.kind is Kind.SOCKET:
                continue
            first = first_names.setdefault(entry.inode, entry.path)
            # Like busybox's tar, which asks the count of links whether a file may have another name.
            is_link = entry.nlink > 1 and entry.kind is not Kind.DIRECTORY and first != entry.path
            digest = _digest(tree.read, entry) if entry.kind is Kind.FILE else ""
            members[entry.path] = judge.Member(
                kind=str(entry.kind),
                mode=entry.mode,
                uid=entry.uid % judge.OWNERS,
                gid=entry.gid % judge.OWNERS,
                size=entry.size if entry.kind is Kind.FILE else 0,
                seconds=max(entry.mtime_ns // 1_000_000_000, 0) % judge.TIMES,
                target=entry.target,
                device=(entry.major, entry.minor),
                first_name=first if is_link else b"",
                sha256=digest,
            )
    return members


def _digest(read: Callable[[Entry], Iterator[bytes]], entry: Entry) -> str:
    if entry.size > LARGEST:
        return judge.TOO_LARGE
    digest = hashlib.sha256()
    for chunk in read(entry):
        digest.update(chunk)
    return digest.hexdigest()


class Damaged:
    """An image that is damaged in place, and mended again."""

    def __init__(self, image: Path) -> None:
        self.path = image
        self._size = image.stat().st_size
        self._blocks = dict(_used_blocks(image))
        alike = Counter(self._blocks.values())
        # An empty log of XFS is a hundred thousand blocks alike; so are most files' contents.
        self._places = [place for place, content in self._blocks.items() if alike[content] <= _MOST_ALIKE]

    @contextmanager
    def by(self, seed: int) -> Iterator[None]:
        """Damage it: cut it short, zero a range, or flip up to eight bits, all where it holds something."""
        generator = random.Random(seed)
        place = generator.choice(self._places) + generator.randrange(_BLOCK)
        with open(self.path, "r+b", buffering=0) as file:
            try:
                match seed % 4:
                    case 0:
                        file.truncate(place)
                    case 1:
                        file.seek(place)
                        file.write(bytes(min(generator.randint(1, _LONGEST_ZEROED), self._size - place)))
                    case _:
                        for _ in range(generator.choice((1, 1, 2, 8))):
                            self._flip(file.fileno(), generator)
                yield
            finally:
                file.truncate(self._size)
                for offset, content in self._blocks.items():
                    os.pwrite(file.fileno(), content, offset)

    def _flip(self, descriptor: int, generator: random.Random) -> None:
        place = generator.choice(self._places) + generator.randrange(_BLOCK)
        (byte,) = os.pread(descriptor, 1, place)
        os.pwrite(descriptor, bytes([byte ^ 1 << generator.randrange(8)]), place)


def _used_blocks(image: Path) -> Iterator[tuple[int, bytes]]:
    """Blocks of an image that are not all zeros, by offset."""
    with open(image, "rb") as file:
        end, position = image.stat().st_size, 0
        while position < end:
            try:
                position = os.lseek(file.fileno(), position, os.SEEK_DATA) // _BLOCK * _BLOCK
            except OSError:  # only a hole is left
                return
            hole = os.lseek(file.fileno(), position, os.SEEK_HOLE)
            for offset in range(position, hole, _BLOCK):
                content = os.pread(file.fileno(), _BLOCK, offset)
                if content.strip(b"\0"):
                    yield offset, content.ljust(_BLOCK, b"\0")
            position = hole


def outcome(image: Path, expected: Tree, scratch: Path) -> str:
    """How reading the damaged image ends: an error's kind, or

    ``equal`` to the undamaged one, ``kernel``: as Linux shows it, ``unused``: Linux refuses it for
    the sake of what no file needs (notes of free space), ``large``: too much to compare, ``different``.
    """
    try:
        found = read_tree(image, scratch)
    except ConvertError as error:
        return error.kind
    if found == expected:
        return "equal"
    if any(member.sha256 == judge.TOO_LARGE for member in found.values()):
        return "large"
    shown = judge.tree(image)
    if shown is None and _without_content(found) == _without_content(expected):
        return "unused"
    return "kernel" if found == shown else "different"


def _without_content(tree: Tree) -> Tree:
    return {path: member._replace(sha256="") for path, member in tree.items()}


def main(image: str, first: int, last: int) -> None:
    """Print a line for each seed."""
    with tempfile.TemporaryDirectory(prefix="damage-") as folder:
        damaged, scratch = Damaged(Path(image)), Path(folder)
        expected = read_tree(damaged.path, scratch)
        for seed in range(first, last):
            signal.alarm(PATIENCE_SECONDS)  # ends this process: a hang
            for left in scratch.iterdir():
                left.unlink()
            with damaged.by(seed):
                print(seed, outcome(damaged.path, expected, scratch), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
