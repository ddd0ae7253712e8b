"""Paths and small files inside a guest, whatever its reader: symbolic links never leave the guest's root."""

from __future__ import annotations

from converters.errors import FilesystemError
from converters.filesystems.base import Entry, Filesystem, Kind

MAX_LINKS = 40
"""Symbolic links followed in one path; the kernel's own limit (path_resolution(7))."""


def encoded(path: str) -> bytes:
    """A path of a guest's configuration as its file systems have it; undoes surrogate escapes."""
    return path.encode("utf-8", "surrogateescape")


def resolve(fs: Filesystem, path: bytes) -> Entry | None:
    """The entry ``path`` leads to when symbolic links are followed inside the guest's root.

    Absolute targets start at the guest's root, and ``..`` stops there. None where there is nothing, and where
    links go round.
    """
    waiting = path.split(b"/")[::-1]
    done: list[bytes] = []
    links = 0
    while waiting:
        name = waiting.pop()
        if name == b"..":
            del done[-1:]
        elif name not in (b"", b"."):
            entry = fs.lookup(b"/".join([*done, name]))
            if entry is None:
                return None
            if entry.kind is not Kind.SYMLINK:
                done.append(name)
                continue
            links += 1
            if links > MAX_LINKS:
                return None
            if entry.target.startswith(b"/"):
                done.clear()
            waiting += entry.target.split(b"/")[::-1]
    return fs.lookup(b"/".join(done))


def read_bytes(fs: Filesystem, path: bytes, limit: int) -> bytes | None:
    """The content of the regular file that ``path`` leads to; None where there is no such file.

    Raises:
        FilesystemError: it holds more than ``limit`` bytes, or cannot be read.
    """
    entry = resolve(fs, path)
    if entry is None or entry.kind is not Kind.FILE:
        return None
    if entry.size > limit:
        name = path.decode("utf-8", "backslashreplace")
        raise FilesystemError(
            f"/{name} holds {entry.size} bytes, more than the {limit} expected of such a file"
        )
    return b"".join(fs.read(entry))
