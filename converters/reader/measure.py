"""Adds up what directories hold while their tree is walked anyhow."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

from converters.filesystems.base import Entry, Kind


class Measure:
    """Bytes of files below some directories, of which none is within another."""

    def __init__(self, directories: Sequence[str]) -> None:
        self._prefixes = tuple(os.fsencode(path.strip("/")) + b"/" for path in directories)
        self._sizes = dict.fromkeys(self._prefixes, 0)

    @property
    def sizes(self) -> tuple[int, ...]:
        """In the order of the directories."""
        return tuple(self._sizes[prefix] for prefix in self._prefixes)

    def counted(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """The entries, all of them."""
        prefixes, sizes = self._prefixes, self._sizes
        for entry in entries:
            # One look for all of them: few entries are below any.
            if entry.kind is Kind.FILE and entry.path.startswith(prefixes):
                for prefix in prefixes:
                    if entry.path.startswith(prefix):
                        sizes[prefix] += entry.size
            yield entry
