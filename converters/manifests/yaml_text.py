"""Scalars that every YAML reader, of version 1.1 or 1.2, takes for the text they are."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import yaml

from converters.plan import MIB

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


def mebibytes(size: int) -> str:
    """A size in bytes as engines' command lines read it: ``512m``."""
    return f"{size // MIB}m"


class _Dumper(yaml.SafeDumper):
    """Quotes every text that one reader or another takes for something else."""


_WORD = re.compile(r"[A-Za-z][A-Za-z0-9./-]*")
_NO_WORDS = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"))
_LONGEST_LINE = 1 << 30
"""A quoted text stays on its line, and so is not folded."""


def _represent(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    word = _WORD.fullmatch(text) and text.lower() not in _NO_WORDS
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if word else '"')


class Block(str):
    """A text of our own, of several printable lines, written as they are."""


def _represent_block(dumper: yaml.SafeDumper, text: Block) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style="|")


_Dumper.add_representer(str, _represent)
_Dumper.add_representer(Block, _represent_block)


def documents(objects: Iterable[dict[str, Any]]) -> str:
    """Objects as documents of one YAML text; keys keep their order.

    PyYAML alone leaves ``1e3`` and ``0o17`` without quotes, which Go's reader takes for numbers.
    """
    texts = (
        yaml.dump(one, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_LONGEST_LINE)
        for one in objects
    )
    return "---\n".join(texts)
