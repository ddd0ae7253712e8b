"""A file system whose whole tree was seen once before anything of it is given out."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from converters.filesystems.base import Entry, Filesystem, Remarking

MOST_KEPT = 100_000
"""Entries remembered from that walk, some 40 MB; a larger tree is walked anew."""


class WalkedFilesystem:
    """``filesystem``, walked to its end when this is made.

    What cannot be represented exactly is found then, before anything was sent anywhere, and while another
    engine can still take over. Raises what the walk raises.
    """

    def __init__(self, filesystem: Filesystem, most_kept: int = MOST_KEPT) -> None:
        self._filesystem = filesystem
        walk = filesystem.walk()
        kept = list(islice(walk, most_kept + 1))
        for _ in walk:
            pass
        self._kept = kept if len(kept) <= most_kept else None

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
