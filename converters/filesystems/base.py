"""What every file system reader gives: entries in a fixed order, their bytes, their extended attributes.

Names and paths are ``bytes``, as in the guest. A path is relative to the file system's root and has no
leading slash; the root itself is ``b""``.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple, Protocol, runtime_checkable


class Kind(StrEnum):
    """What an entry is."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    CHARACTER = "character device"
    BLOCK = "block device"
    FIFO = "fifo"
    SOCKET = "socket"


KINDS: Mapping[int, Kind] = {
    stat.S_IFREG: Kind.FILE,
    stat.S_IFDIR: Kind.DIRECTORY,
    stat.S_IFLNK: Kind.SYMLINK,
    stat.S_IFCHR: Kind.CHARACTER,
    stat.S_IFBLK: Kind.BLOCK,
    stat.S_IFIFO: Kind.FIFO,
    stat.S_IFSOCK: Kind.SOCKET,
}
"""By the file type of a mode: ``stat.S_IFMT(mode)`` (inode(7))."""


class Entry(NamedTuple):
    """One name in a file system, and the inode behind it (inode(7))."""

    path: bytes
    kind: Kind
    mode: int
    """Permission bits with setuid, setgid and sticky: ``st_mode & 0o7777``."""
    uid: int
    gid: int
    size: int
    """Bytes of a regular file; 0 for everything else but symlinks (length of the target)."""
    mtime_ns: int
    """Nanoseconds since 1970-01-01 UTC; negative before."""
    inode: int
    """Equal for hard links of one file within one file system, different otherwise."""
    nlink: int
    target: bytes = b""
    """Where a symbolic link points, as stored."""
    major: int = 0
    minor: int = 0
    xattrs: tuple[tuple[bytes, bytes], ...] = ()
    """Extended attributes by full name (``b"security.capability"``), sorted by name."""
    device: int = 0
    """Number of the file system the entry is on: ``(device, inode)`` is unique in a guest's whole tree."""


class Filesystem(Protocol):
    """A read-only file system. Not thread-safe: one reader, one thread.

    Anything a reader does not represent exactly raises: a reader never guesses.
    """

    @property
    def type(self) -> str:
        """Name as in fstab: ``ext4``, ``xfs``…"""

    def walk(self, top: bytes = b"") -> Iterator[Entry]:
        """Every entry from ``top`` down, ``top`` itself first, each directory before its content, names of a
        directory in byte order. Symbolic links are not followed; nothing where ``top`` does not exist.

        Raises:
            FilesystemError: damaged, or not representable exactly.
        """

    def read(self, entry: Entry) -> Iterator[bytes]:
        """The bytes of a regular file in chunks of at most 4 MiB, holes as zeros: ``entry.size`` in all."""

    def lookup(self, path: bytes) -> Entry | None:
        """The entry at ``path`` without following symbolic links, or None where there is none."""

    def close(self) -> None:
        """Release what the reader holds; a second call does nothing."""


@runtime_checkable
class Remarking(Protocol):
    """A file system that has more to say than its entries do."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of the entries given so far, each a sentence with paths from its root."""
