"""The text in which LVM2 keeps its metadata (lvm.conf(5) has the same grammar): sections, values, arrays."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypeGuard

from converters.errors import DiskError

Scalar = str | int | float
Value = Scalar | list[Scalar]
Section = dict[str, "Value | Section"]

_DEEPEST = 16
"""Sections within each other; LVM uses five."""
_TOKEN = re.compile(
    r"""(?>\s*(?:\#[^\n]*\s*)*)(?:
        "(?P<string>(?>(?:[^"\\]|\\.)*))" | (?P<number>-?\d{1,20}(?:\.\d{1,20})?(?![\w.+-]))
        | (?P<name>[\w.+-]++)
        | (?P<mark>[{}=,\[\]]) | (?P<end>\Z)
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


class _Mark(str):
    """A character of the grammar, and not a value that is spelt like one."""

    __slots__ = ()


class _Name(str):
    __slots__ = ()


def parse(text: str) -> Section:
    """The sections of ``text``. Raises ``DiskError``: not of this grammar; the message says where."""
    top: Section = {}
    open_sections = [top]
    tokens = _tokens(text)
    for place, token in tokens:
        if token == "}" and isinstance(token, _Mark) and len(open_sections) > 1:
            open_sections.pop()
            continue
        if not isinstance(token, _Name):
            raise _wrong(place)
        place, mark = _following(tokens)
        if mark == "{" and isinstance(mark, _Mark):
            section: Section = {}
            open_sections[-1][str(token)] = section
            open_sections.append(section)
            if len(open_sections) > _DEEPEST:
                raise _wrong(place)
        elif mark == "=" and isinstance(mark, _Mark):
            open_sections[-1][str(token)] = _value(tokens)
        else:
            raise _wrong(place)
    if len(open_sections) > 1:
        raise DiskError("the metadata of LVM end in the middle")
    return top


def section(parent: Section, name: str) -> Section:
    """The section ``name``. Raises ``DiskError``: there is none."""
    found = parent.get(name)
    if not isinstance(found, dict):
        raise DiskError(f"the metadata of LVM have no section {name}")
    return found


def number(parent: Section, name: str) -> int:
    """The whole number ``name``, not negative. Raises ``DiskError``: there is none."""
    found = parent.get(name)
    if not isinstance(found, int) or found < 0:
        raise DiskError(f"the metadata of LVM have no number {name}")
    return found


def string(parent: Section, name: str) -> str:
    """The string ``name``. Raises ``DiskError``: there is none."""
    found = parent.get(name)
    if not isinstance(found, str):
        raise DiskError(f"the metadata of LVM have no string {name}")
    return found


def array(parent: Section, name: str) -> list[Scalar]:
    """The array ``name``; empty where there is none."""
    found = parent.get(name)
    return found if isinstance(found, list) else []


def _value(tokens: Iterator[tuple[int, Scalar]]) -> Value:
    place, token = _following(tokens)
    if _is_value(token):
        return token
    if token != "[":
        raise _wrong(place)
    values: list[Scalar] = []
    while True:
        place, token = _following(tokens)
        if _is_value(token):
            values.append(token)
            place, token = _following(tokens)
        if token == "]" and isinstance(token, _Mark):
            return values
        if token != "," or not isinstance(token, _Mark):
            raise _wrong(place)


def _following(tokens: Iterator[tuple[int, Scalar]]) -> tuple[int, Scalar]:
    for token in tokens:
        return token
    raise DiskError("the metadata of LVM end in the middle")


def _is_value(token: Scalar) -> TypeGuard[Scalar]:
    return not isinstance(token, (_Mark, _Name))


def _tokens(text: str) -> Iterator[tuple[int, Scalar]]:
    """Each token with its place. Raises ``DiskError`` where the text is none, or ends too early."""
    place = 0
    while match := _TOKEN.match(text, place):
        start, place = match.start(), match.end()
        kind, found = match.lastgroup, match[match.lastgroup or 0]
        match kind:
            case "string":
                yield start, _ESCAPE.sub(r"\1", found)
            case "number":
                yield start, float(found) if "." in found else int(found)
            case "name":
                yield start, _Name(found)
            case "mark":
                yield start, _Mark(found)
            case _:
                return
    raise _wrong(place)


def _wrong(place: int) -> DiskError:
    return DiskError(f"the metadata of LVM cannot be understood at character {place}")
