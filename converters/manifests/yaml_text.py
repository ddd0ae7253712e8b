"""Scalars that every YAML reader, of version 1.1 or 1.2, takes for the text they are."""

from __future__ import annotations

import re

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
_NOT_PLAIN = re.compile(
    r'["\\]|[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]'
)


def quoted(text: str) -> str:
    """``text`` in double quotes, on one line (YAML 1.1, 5.1 and 5.6).

    Without quotes, ``22:22`` is the sexagesimal number 1342, ``no`` is false, ``0755`` is 493.
    """
    return '"' + _NOT_PLAIN.sub(_escaped, text) + '"'


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    if known := _ESCAPES.get(character):
        return known
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def comment(text: str) -> str:
    """``text`` as the rest of a comment: what would end the line, or cannot be printed, is escaped."""
    return _NOT_PLAIN.sub(lambda found: found[0] if found[0] in '"\\' else _escaped(found), text)
