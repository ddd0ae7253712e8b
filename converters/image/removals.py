"""What of a guest's tree is not in the image, and why: counted for the report, with the paths to look at."""

from __future__ import annotations

from dataclasses import dataclass

PATHS_LISTED = 100
"""Paths kept for each reason; what exceeds them is counted only."""


@dataclass(frozen=True, slots=True)
class Removal:
    """Everything left out for one reason."""

    name: str
    """The clean-up rule, or the property of layers, that asked for it."""
    reason: str
    entries: int
    bytes: int
    """Content of the regular files among them; a hard-linked file counts for each name."""
    paths: tuple[str, ...]
    """Where, at most ``PATHS_LISTED``, without what lies below; other bytes than UTF-8 as escapes."""


@dataclass(slots=True)
class _Count:
    reason: str
    paths: list[str]
    top: bytes
    """The path listed last, with a slash: what begins so lies below it."""
    entries: int = 0
    size: int = 0


class RemovalTally:
    """Collects removals while a tree streams by."""

    def __init__(self) -> None:
        self._counts: dict[str, _Count] = {}

    def add(self, name: str, reason: str, path: bytes, size: int = 0) -> None:
        """One more entry left out; ``size`` is its content in bytes.

        Entries come in the order of a walk, so what lies below the last listed path is not listed again.
        """
        count = self._counts.get(name)
        if count is None:
            count = self._counts[name] = _Count(reason, [], b"")
        count.entries += 1
        count.size += size
        if count.top and path.startswith(count.top):
            return
        count.top = path + b"/"
        if len(count.paths) < PATHS_LISTED:
            count.paths.append(path.decode("utf-8", "backslashreplace"))

    def removals(self) -> tuple[Removal, ...]:
        """What was collected so far, by name."""
        return tuple(
            Removal(name, count.reason, count.entries, count.size, tuple(count.paths))
            for name, count in sorted(self._counts.items())
        )
