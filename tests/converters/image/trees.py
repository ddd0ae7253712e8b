"""Trees to archive, made up in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from converters.filesystems.base import Entry, Kind
from converters.image.removals import RemovalTally
from converters.image.tar import tar_stream


def entry(path: bytes, kind: Kind = Kind.FILE, **fields: Any) -> Entry:
    """An entry with everyday values where the test says nothing."""
    values: dict[str, Any] = {
        "mode": 0o755 if kind is Kind.DIRECTORY else 0o644,
        "uid": 0,
        "gid": 0,
        "size": 0,
        "mtime_ns": 1_700_000_000 * 10**9,
        "inode": abs(hash(path)),
        "nlink": 2 if kind is Kind.DIRECTORY else 1,
    }
    return Entry(path=path, kind=kind, **{**values, **fields})


@dataclass
class MemoryTree:
    """Entries with contents by path; remembers what was read."""

    entries: list[Entry] = field(default_factory=list)
    contents: dict[bytes, bytes] = field(default_factory=dict)
    was_read: list[bytes] = field(default_factory=list)

    def add(self, path: bytes, kind: Kind = Kind.FILE, content: bytes = b"", **fields: Any) -> None:
        """One more entry."""
        fields.setdefault("size", len(content))
        self.entries.append(entry(path, kind, **fields))
        self.contents[path] = content

    def read(self, entry: Entry) -> Iterator[bytes]:
        """The content in two chunks."""
        self.was_read.append(entry.path)
        content = self.contents[entry.path]
        yield content[:3]
        yield content[3:]

    def tar(self, tally: RemovalTally | None = None) -> bytes:
        """The whole archive."""
        return b"".join(tar_stream(self.entries, self.read, tally or RemovalTally()))
