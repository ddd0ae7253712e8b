"""The agent's hands: what it tells of the files that user-mode Linux has mounted (``agent.py``)."""

from __future__ import annotations

import os
import stat

from converters.filesystems.uml.wire import ATTRIBUTE, FRAME_BYTES, LAST, MORE, PAGE_BYTES, STATUS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_PATH_PART = 4000
"""Bytes that the kernel takes as one path."""


class Folders:
    """Lists folders in pages; the names of the last one are remembered, for they are asked for again."""

    def __init__(self) -> None:
        self._folder: bytes | None = None
        self._names: list[bytes] = []

    def page(self, folder: bytes, start: int) -> Iterator[tuple[bytes, bytes]]:
        """The names in a folder in byte order from number ``start``, each with all that there is to know.

        A page of less than ``PAGE_BYTES`` is the last.
        """
        enter(folder)
        if folder != self._folder:
            self._names = sorted(os.fsencode(name) for name in os.listdir("."))  # noqa: PTH208 (no pathlib here)
            self._folder = folder
        waiting = []
        size = whole = 0
        for number in range(start, len(self._names)):
            waiting.append(status(self._names[number]))
            size += len(waiting[-1])
            if size < FRAME_BYTES:
                continue
            whole += size
            if whole >= PAGE_BYTES:
                break
            yield MORE, b"".join(waiting)
            waiting, size = [], 0
        yield LAST, b"".join(waiting)


def enter(path: bytes) -> None:
    """Make the folder ``path``, which may be longer than the kernel takes at once, the current one."""
    os.chdir(b"/")
    while len(path) > _PATH_PART:
        cut = path.rindex(b"/", 0, _PATH_PART)
        os.chdir(path[:cut].lstrip(b"/") or b".")
        path = path[cut:].lstrip(b"/")
    os.chdir(path.lstrip(b"/") or b".")


def look(root: bytes, path: bytes) -> bytes:
    """One name without following a symbolic link on the way; nothing where it does not exist."""
    os.chdir(root)
    *folders, name = path.split(b"/")
    for folder in folders:
        try:
            if not stat.S_ISDIR(os.lstat(folder).st_mode):
                return b""
        except FileNotFoundError:
            return b""
        os.chdir(folder)
    try:
        return status(name or b".")
    except FileNotFoundError:
        return b""


def status(name: bytes) -> bytes:
    """A name of the current folder, as ``STATUS`` lays it out."""
    found = os.lstat(name)
    target = os.readlink(name) if stat.S_ISLNK(found.st_mode) else b""  # noqa: PTH115 (a Path holds no bytes)
    attributes = []
    for attribute in sorted(os.fsencode(key) for key in os.listxattr(name, follow_symlinks=False)):
        value = os.getxattr(name, attribute, follow_symlinks=False)
        attributes.append(ATTRIBUTE.pack(len(attribute), len(value)) + attribute + value)
    seconds, nanoseconds = divmod(found.st_mtime_ns, 1_000_000_000)
    head = STATUS.pack(
        found.st_dev,
        found.st_ino,
        found.st_mode,
        found.st_nlink,
        found.st_uid,
        found.st_gid,
        seconds,
        nanoseconds,
        found.st_size,
        os.major(found.st_rdev),
        os.minor(found.st_rdev),
        len(attributes),
        len(name),
        len(target),
    )
    return head + name + target + b"".join(attributes)


def read(path: bytes, offset: int, length: int) -> bytes:
    """Bytes of a file or a device; fewer only at its end."""
    folder, _, name = path.rpartition(b"/")
    enter(folder)
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        parts = []
        while length and (part := os.pread(descriptor, length, offset)):
            parts.append(part)
            offset += len(part)
            length -= len(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)
