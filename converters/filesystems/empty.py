"""A file system in memory as a guest's boot makes it: one empty directory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Self

from converters.errors import FilesystemError
from converters.filesystems.base import Entry, Kind
from converters.filesystems.fstab import Line

_MODE = 0o1777
"""Of a tmpfs when nothing else is said (tmpfs(5))."""
_ROOT_INODE = 1
_OCTAL = re.compile(r"[0-7]{1,6}", re.ASCII)
_DECIMAL = re.compile(r"\d{1,9}", re.ASCII)


class EmptyFilesystem:
    """A tmpfs after its mount.

    Args:
        type: ``tmpfs`` or ``ramfs``.
        mode: permission bits of its directory.
        mtime_ns: the moment of the boot is on no disk, so that of the directory beneath stands for it.
    """

    def __init__(self, type: str, mode: int = _MODE, uid: int = 0, gid: int = 0, mtime_ns: int = 0) -> None:
        self._type = type
        self._root = Entry(b"", Kind.DIRECTORY, mode & 0o7777, uid, gid, 0, mtime_ns, _ROOT_INODE, 2)

    @classmethod
    def from_options(cls, line: Line, mtime_ns: int) -> Self:
        """What an entry of an fstab asks for. An owner by name stays root: no number is looked up."""
        mode, uid, gid = line.option("mode"), line.option("uid"), line.option("gid")
        return cls(
            line.type,
            int(mode, 8) if _OCTAL.fullmatch(mode) else _MODE,
            int(uid) if _DECIMAL.fullmatch(uid) else 0,
            int(gid) if _DECIMAL.fullmatch(gid) else 0,
            mtime_ns,
        )

    @property
    def type(self) -> str:
        """As in fstab."""
        return self._type

    def walk(self, top: bytes = b"") -> Iterator[Entry]:
        """Its directory."""
        if not top:
            yield self._root

    def lookup(self, path: bytes) -> Entry | None:
        """Its directory, or None."""
        return None if path else self._root

    def read(self, entry: Entry) -> Iterator[bytes]:
        """Raises ``FilesystemError``: there is no file."""
        raise FilesystemError(f"there is no file {entry.path!r} in an empty {self._type}")

    def close(self) -> None:
        """Nothing is held."""
