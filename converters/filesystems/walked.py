"""A file system whose whole tree was seen once before anything of it is given out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from converters import headway
from converters.filesystems.base import Entry, Filesystem, Remarking

MOST_KEPT = 100_000
"""Entries remembered from that walk, some 40 MB; a larger tree is walked anew."""
MOST_BYTES = 32 << 20
"""Of their paths, targets and extended attributes, of which one entry may have megabytes."""


class WalkedFilesystem:
    """``filesystem``, walked to its end when this is made.

    What cannot be represented exactly is found then, before anything was sent anywhere, and while another
    engine can still take over. Raises what the walk raises.
    """

    def __init__(self, filesystem: Filesystem, most_kept: int = MOST_KEPT) -> None:
        self._filesystem = filesystem
        walk = headway.counted(filesystem.walk())
        self._kept = _kept(walk, most_kept)
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


def _kept(walk: Iterable[Entry], most: int) -> list[Entry] | None:
    """All entries of a small tree; None once it is none."""
    kept: list[Entry] = []
    left = MOST_BYTES
    for entry in walk:
        left -= len(entry.path) + len(entry.target)
        for _, value in entry.xattrs:
            left -= len(value)
        if left < 0 or len(kept) == most:
            return None
        kept.append(entry)
    return kept
