"""A file system whose whole tree was seen once before anything of it is given out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from converters import headway
from converters.filesystems.base import Entry, Filesystem, Remarking
from converters.filesystems.memory import Budget

ENTRY_BYTES, ATTRIBUTE_BYTES = 400, 150
"""Of memory, that an entry and each of its attributes take beside the bytes of path, target and values."""


class WalkedFilesystem:
    """``filesystem``, walked to its end when this is made.

    What cannot be represented exactly is found then, before anything was sent anywhere, and while another
    engine can still take over. Its entries are remembered as long as ``kept``, which other file systems
    share, has room for all of them; else it is walked anew. Raises what the walk raises.
    """

    def __init__(self, filesystem: Filesystem, kept: Budget) -> None:
        self._filesystem = filesystem
        walk = headway.counted(filesystem.walk())
        self._kept = _kept(walk, kept)
        for _ in walk:
            pass

    @property
    def type(self) -> str:
        """As the file system says."""
        return self._filesystem.type

    @property
    def notes(self) -> tuple[str, ...]:
        """See ``Remarking``; of the whole tree."""
        return self._filesystem.notes if isinstance(self._filesystem, Remarking) else ()

    def walk(self, top: bytes = b"") -> Iterator[Entry]:
        """See ``Filesystem.walk``; the whole of a small tree comes from memory."""
        if top or self._kept is None:
            return self._filesystem.walk(top)
        return iter(self._kept)

    def read(self, entry: Entry) -> Iterator[bytes]:
        """See ``Filesystem.read``."""
        return self._filesystem.read(entry)

    def lookup(self, path: bytes) -> Entry | None:
        """See ``Filesystem.lookup``."""
        return self._filesystem.lookup(path)

    def close(self) -> None:
        """Close the file system."""
        self._filesystem.close()


def _kept(walk: Iterable[Entry], budget: Budget) -> list[Entry] | None:
    """All entries of a small tree; None, and the rest of the walk is the caller's, once it is none."""
    kept: list[Entry] = []
    taken, whole = 0, False
    try:
        for entry in walk:
            size = ENTRY_BYTES + len(entry.path) + len(entry.target)
            for name, value in entry.xattrs:
                size += ATTRIBUTE_BYTES + len(name) + len(value)
            if not budget.take(size):
                return None
            taken += size
            kept.append(entry)
        whole = True
    finally:
        if not whole:
            budget.give_back(taken)
    return kept
