"""The syntax of unit files (systemd.syntax(7)): sections of ``Key=value`` lines, continuations, comments."""

from __future__ import annotations

from collections.abc import Iterable

_COMMENTS = ("#", ";")

Assignment = tuple[str, str, str]
"""Section, key and value, as written; quotes, specifiers and variables are left as they are."""


def parse_unit(text: str) -> list[Assignment]:
    """The assignments of a unit file in order; lines that are none, and keys outside a section, do not count.

    A line that ends in an unescaped backslash goes on after the comments that follow; a comment never does.
    """
    assignments: list[Assignment] = []
    section = ""
    for line in _joined_lines(text.removeprefix("\ufeff").splitlines()):
        if line.startswith("["):
            section = line[1:-1] if line.endswith("]") else ""
            continue
        key, equals, value = line.partition("=")
        if equals and section:
            assignments.append((section, key.rstrip(), value.lstrip()))
    return assignments


def _joined_lines(lines: Iterable[str]) -> list[str]:
    joined: list[str] = []
    begun = ""
    for line in lines:
        if line.lstrip().startswith(_COMMENTS):
            continue
        whole = begun + line
        if _ends_in_escape(whole):
            begun = whole[:-1] + " "
            continue
        joined.append(whole.strip())
        begun = ""
    return [*joined, begun.strip()]


def _ends_in_escape(line: str) -> bool:
    """Whether the last backslash stands alone: each one escapes what follows it."""
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1


class Settings:
    """What a unit's file and its drop-ins say together, in the order they are read."""

    def __init__(self, assignments: Iterable[Assignment]) -> None:
        self._values: dict[tuple[str, str], list[str]] = {}
        for section, key, value in assignments:
            self._values.setdefault((section, key), []).append(value)

    def has(self, section: str) -> bool:
        """Whether anything is said in a section."""
        return any(named == section for named, _ in self._values)

    def last(self, section: str, key: str, default: str = "") -> str:
        """The value that counts where one does: the last; an empty one brings the default back."""
        values = self._values.get((section, key), [])
        return (values[-1] if values else "") or default

    def all(self, section: str, key: str) -> list[str]:
        """The values that count where all do: those after the last empty one, which resets the list."""
        values: list[str] = []
        for value in self._values.get((section, key), []):
            values = [*values, value] if value else []
        return values
