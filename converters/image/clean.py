"""The filter that applies clean-up rules to the walk of a tree."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from converters.filesystems.base import Entry, Kind
from converters.image.removals import RemovalTally
from converters.image.rules import Action, Rule


class Cleaner:
    """Decides for each entry which rule, if any, leaves it out.

    The patterns that can match below one first name of a path are compiled together, so that most entries
    are decided by a look into a dictionary and one failed match.
    """

    def __init__(self, rules: Iterable[Rule]) -> None:
        everywhere: list[_Compiled] = []
        by_top: dict[bytes, list[_Compiled]] = {}
        for rule in rules:
            tops: dict[bytes, list[str]] = {}
            for pattern in rule.patterns:
                top = pattern.partition("/")[0]
                tops.setdefault(b"" if "*" in top else _bytes(top), []).append(pattern)
            for name, patterns in tops.items():
                compiled = _Compiled(rule, re.compile(_expression(patterns, rule), re.DOTALL))
                if name:
                    by_top.setdefault(name, everywhere.copy()).append(compiled)
                else:
                    everywhere.append(compiled)
                    for others in by_top.values():
                        others.append(compiled)
        self._by_top = {top: _Group.of(members) for top, members in by_top.items()}
        self._everywhere = _Group.of(everywhere)

    def decide(self, entry: Entry) -> Rule | None:
        """The rule that leaves the entry out or empties it; None: it stays as it is."""
        path = entry.path
        group = self._by_top.get(path.partition(b"/")[0], self._everywhere)
        if group.any.fullmatch(path) is None:
            return None
        return next((member.rule for member in group.members if member.applies(entry)), None)

    def clean(self, entries: Iterable[Entry], tally: RemovalTally) -> Iterator[Entry]:
        """The entries that stay, those of truncated files with size 0; the rest is counted in ``tally``."""
        decide = self.decide
        for entry in entries:
            rule = decide(entry)
            if rule is None:
                yield entry
                continue
            tally.add(rule.name, rule.reason, entry.path, entry.size if entry.kind is Kind.FILE else 0)
            if rule.action is Action.TRUNCATE:
                yield entry._replace(size=0)


@dataclass(frozen=True, slots=True)
class _Compiled:
    rule: Rule
    regex: re.Pattern[bytes]

    def applies(self, entry: Entry) -> bool:
        match = self.regex.fullmatch(entry.path)
        if match is None:
            return False
        rule = self.rule
        if rule.action is Action.DROP_FILES and entry.kind is Kind.DIRECTORY:
            return False
        if match.lastindex is not None:  # below a directory that the rule leaves out
            return True
        if rule.kinds and entry.kind not in rule.kinds:
            return False
        return rule.max_size is None or entry.size <= rule.max_size


@dataclass(frozen=True, slots=True)
class _Group:
    any: re.Pattern[bytes]
    members: tuple[_Compiled, ...]

    @classmethod
    def of(cls, members: list[_Compiled]) -> _Group:
        together = b"|".join(b"(?:" + member.regex.pattern + b")" for member in members) or rb"(?!)"
        return cls(re.compile(together, re.DOTALL), tuple(members))


def _expression(patterns: Iterable[str], rule: Rule) -> bytes:
    """The regular expression for patterns of one rule; its group 1 matches below a directory only."""
    together = b"(?:" + b"|".join(map(_translate, patterns)) + b")"
    match rule.action:
        case Action.DROP if not rule.kinds or Kind.DIRECTORY in rule.kinds:
            return together + b"(/.*)?"
        case Action.DROP | Action.TRUNCATE:
            return together
        case Action.DROP_CONTENT | Action.DROP_FILES:
            return together + b"(/.+)"


def _translate(pattern: str) -> bytes:
    special = {r"\*": rb"\*", "**/": rb"(?:.*/)?", "*": rb"[^/]*"}
    words = re.split(r"(\\\*|\*\*/|\*)", pattern)
    return b"".join(special.get(word) or re.escape(_bytes(word)) for word in words)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
