"""What an inspection asks of a guest's tree: a few small files and directories, and notes of what failed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from converters.errors import FilesystemError
from converters.filesystems.access import read_bytes, resolve
from converters.filesystems.base import Entry, Filesystem, Kind

TEXT_LIMIT = 1 << 20
"""Bytes of the largest configuration file that is read; systemd's own limit for a line."""


def printable(text: str) -> str:
    """``text`` with undecodable bytes as backslash escapes, so that it can be written as UTF-8."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


class GuestFiles:
    """A guest's tree by paths as the guest writes them (``/etc/passwd``), symbolic links followed inside it.

    Names that are not UTF-8 carry surrogate escapes, so that a name read here can be asked for again; content
    carries backslash escapes. A damaged or oversized file counts as absent, and ``notes`` says so.
    """

    def __init__(self, fs: Filesystem) -> None:
        self._fs = fs
        self._notes: dict[str, None] = {}

    @property
    def notes(self) -> tuple[str, ...]:
        """What could not be read, each a sentence, in the order it was met."""
        return tuple(self._notes)

    def note(self, sentence: str) -> None:
        """Say what was passed over; said twice counts once."""
        self._notes[printable(sentence)] = None

    def text(self, path: str) -> str | None:
        """The content of a file as text, or None where there is none."""
        content = self.content(path, TEXT_LIMIT)
        return None if content is None else content.decode("utf-8", "backslashreplace")

    def content(self, path: str, limit: int) -> bytes | None:
        """The bytes of a file of at most ``limit`` bytes, or None where there is none."""
        try:
            return read_bytes(self._fs, _inside(path), limit)
        except FilesystemError as error:
            self.note(f"{path} was passed over: {error}.")
            return None

    def head(self, path: str) -> bytes:
        """The first bytes of a file, at least a header's worth; empty where there is none."""
        entry = self.entry(path)
        if entry is None or entry.kind is not Kind.FILE:
            return b""
        try:
            return next(iter(self._fs.read(entry)), b"")
        except FilesystemError as error:
            self.note(f"{path} was passed over: {error}.")
            return b""

    def entry(self, path: str) -> Entry | None:
        """What a path leads to, or None."""
        try:
            return resolve(self._fs, _inside(path))
        except FilesystemError as error:
            self.note(f"{path} was passed over: {error}.")
            return None

    def link_target(self, path: str) -> str | None:
        """Where the symbolic link at ``path`` points, as stored; None when it is no link."""
        folder, _, name = path.rstrip("/").rpartition("/")
        above = self.entry(folder)
        try:
            entry = None if above is None else self._fs.lookup(_joined(above.path, name))
        except FilesystemError as error:
            self.note(f"{path} was passed over: {error}.")
            return None
        return _decoded(entry.target) if entry is not None and entry.kind is Kind.SYMLINK else None

    def real_path(self, path: str) -> str | None:
        """The path without symbolic links on the way, or None where there is nothing."""
        entry = self.entry(path)
        return None if entry is None else "/" + _decoded(entry.path)

    def is_file(self, path: str) -> bool:
        """Whether a regular file is there."""
        entry = self.entry(path)
        return entry is not None and entry.kind is Kind.FILE

    def is_directory(self, path: str) -> bool:
        """Whether a directory is there."""
        entry = self.entry(path)
        return entry is not None and entry.kind is Kind.DIRECTORY

    def is_empty(self, directory: str) -> bool:
        """Whether there is no name in a directory, or no directory."""
        return next(self._below(directory), None) is None

    def below(self, directory: str) -> dict[str, Entry]:
        """Everything below a directory by its path relative to it, links not followed, in byte order."""
        return dict(self._below(directory))

    def some_below(self, directory: str, most: int) -> Iterator[tuple[str, Entry]]:
        """As ``below``, and no more than the first ``most`` of it: for directories of any size."""
        return islice(self._below(directory), most)

    def first_below(self, directory: str, most: int) -> dict[str, Entry]:
        """The same, but no more than the first ``most``."""
        return dict(islice(self._below(directory), most))

    def names(self, directory: str) -> list[str]:
        """Names in a directory, in byte order."""
        return [name for name, _ in self._below(directory) if "/" not in name]

    def _below(self, directory: str) -> Iterator[tuple[str, Entry]]:
        top = self.entry(directory)
        if top is None or top.kind is not Kind.DIRECTORY:
            return
        cut = len(top.path) + 1 if top.path else 0
        try:
            for entry in self._fs.walk(top.path):
                if entry.path != top.path:
                    yield _decoded(entry.path[cut:]), entry
        except FilesystemError as error:
            self.note(f"{directory} was listed in part: {error}.")


def _inside(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def _decoded(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")


def _joined(folder: bytes, name: str) -> bytes:
    return b"/".join(part for part in (folder, _inside(name)) if part)
