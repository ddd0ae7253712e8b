"""Files of ``NAME=value`` lines in systemd's reading: os-release(5), ``EnvironmentFile=``, locale.conf(5).

The rules are systemd.exec(5)'s for ``EnvironmentFile=``, not the shell's: nothing is expanded, ``#`` inside
a value belongs to it, blanks around ``=`` do not count, and a name must be a variable's, so ``export X=1`` is
no assignment.
"""

from __future__ import annotations

import re

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_ESCAPED_IN_QUOTES = '"\\`$'
_BLANK = " \t\r"
_COMMENT = "#;"


def parse_environment_file(text: str) -> list[tuple[str, str]]:
    """The assignments of ``text`` in order; a name may come twice, and the last one counts."""
    pairs: list[tuple[str, str]] = []
    position = 0
    while position < len(text):
        start = position
        while position < len(text) and text[position] in _BLANK + "\n":
            position += 1
        if position < len(text) and text[position] in _COMMENT:
            position = _line_end(text, position)
            continue
        equals = text.find("=", position)
        end = _line_end(text, position)
        if equals < 0 or equals >= end:
            position = max(end, start) + 1
            continue
        value, position = _value(text, equals + 1)
        name = text[start:equals].strip()
        if _NAME.match(name):
            pairs.append((name, value))
    return pairs


def _line_end(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end


def _value(text: str, position: int) -> tuple[str, int]:
    """The value from ``position`` on, and where the next line begins."""
    value: list[str] = []
    kept = 0
    """How much of the value stays when trailing blanks are cut off; quoted and escaped ones stay."""
    bare = False
    while position < len(text):
        char = text[position]
        if char == "\n":
            position += 1
            break
        if char == "\\":
            following = text[position + 1 : position + 2]
            if following not in ("", "\n"):
                value.append(following)
                kept = len(value)
            bare = True
            position += 2
        elif char in "\"'" and not bare:
            quoted, position = _quoted(text, position)
            value.extend(quoted)
            kept = len(value)
        elif char in _BLANK and not bare:
            position += 1
        else:
            bare = True
            value.append(char)
            kept = kept if char in _BLANK else len(value)
            position += 1
    return "".join(value[:kept]), position


def _quoted(text: str, position: int) -> tuple[str, int]:
    """The text between the quote at ``position`` and its twin, and what follows; without a twin, the rest."""
    quote = text[position]
    position += 1
    value: list[str] = []
    while position < len(text) and text[position] != quote:
        char = text[position]
        following = text[position + 1 : position + 2]
        if char == "\\" and quote == '"' and following:
            position += 1
            if following in _ESCAPED_IN_QUOTES:
                value.append(following)
            elif following != "\n":
                value.append(char + following)
        else:
            value.append(char)
        position += 1
    return "".join(value), position + 1
