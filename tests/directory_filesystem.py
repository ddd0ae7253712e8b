"""A real directory as a file system reader, for tests that need a guest's tree but not its disk."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from converters.filesystems.base import KINDS, Entry, Kind

_CHUNK = 4 << 20


class DirectoryFilesystem:
    """Reads the tree below ``root``; keeps to the ``Filesystem`` protocol, links included.

    ``looked_up`` and ``walked`` count what was asked, for tests of how much an inspection reads.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self.looked_up = 0
        self.walked = 0

    @property
    def type(self) -> str:
        return "directory"

    def walk(self, top: bytes = b"") -> Iterator[Entry]:
        entry = self.lookup(top)
        if entry is None:
            return
        self.walked += 1
        yield entry
        if entry.kind is Kind.DIRECTORY:
            for name in sorted(os.fsencode(child.name) for child in self._real(top).iterdir()):
                yield from self.walk(top + b"/" + name if top else name)

    def read(self, entry: Entry) -> Iterator[bytes]:
        with self._real(entry.path).open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk

    def lookup(self, path: bytes) -> Entry | None:
        self.looked_up += 1
        if any(self._real(above).is_symlink() for above in _above(path)):
            return None
        try:
            found = self._real(path).lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        kind = KINDS[stat.S_IFMT(found.st_mode)]
        return Entry(
            path=path,
            kind=kind,
            mode=stat.S_IMODE(found.st_mode),
            uid=found.st_uid,
            gid=found.st_gid,
            size=found.st_size if kind in (Kind.FILE, Kind.SYMLINK) else 0,
            mtime_ns=found.st_mtime_ns,
            inode=found.st_ino,
            nlink=found.st_nlink,
            target=os.fsencode(self._real(path).readlink()) if kind is Kind.SYMLINK else b"",
            major=os.major(found.st_rdev),
            minor=os.minor(found.st_rdev),
        )

    def close(self) -> None:
        """Nothing is held."""

    def _real(self, path: bytes) -> Path:
        return self._root / os.fsdecode(path)


def _above(path: bytes) -> Iterator[bytes]:
    names = path.split(b"/")
    for count in range(1, len(names)):
        yield b"/".join(names[:count])
