"""Text for systemd's unit files and Quadlet's, of the same syntax (systemd.syntax(7))."""

from __future__ import annotations

import re
from collections.abc import Iterable

_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")
_ESCAPES = {"\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


def value(text: str) -> str:
    """A value that is read as it is: specifiers are doubled, and what ends a line is left out."""
    return "".join(letter for letter in text.replace("%", "%%") if letter.isprintable()).rstrip("\\").strip()


def word(text: str) -> str:
    """One word of a list: quoted where it has to be, with specifiers doubled (systemd.unit(5))."""
    doubled = text.replace("%", "%%")
    if _PLAIN.fullmatch(doubled):
        return doubled
    return '"' + "".join(map(_escaped, doubled)) + '"'


def argument(text: str) -> str:
    """One word of a command line, where a dollar sign begins a variable even in quotes."""
    return word(text.replace("$", "$$"))


def command(words: Iterable[str]) -> str:
    """A command line, a long one on several lines: an option begins a new one."""
    text = ""
    for one in map(argument, words):
        text += (" \\\n  " if one.startswith("--") else " ") + one if text else one
    return text


def unit(sections: Iterable[tuple[str, Iterable[tuple[str, str]]]], head: Iterable[str] = ()) -> str:
    """A unit file: comments, then sections with their settings; values are given as they are written."""
    parts = ["".join(f"# {line}\n" for line in head)]
    for name, settings in sections:
        lines = "".join(f"{key}={said}\n" for key, said in settings)
        parts.append(f"[{name}]\n{lines}")
    return "\n".join(part for part in parts if part)


def _escaped(letter: str) -> str:
    if known := _ESCAPES.get(letter):
        return known
    if letter.isprintable():
        return letter
    code = ord(letter)
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
