"""A guest's /etc/fstab (fstab(5)): which volume it mounts where. Broken lines are dropped, never the file."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ESCAPE = re.compile(r"\\([0-7]{3})")
_TAG = re.compile(r"(UUID|LABEL|PARTUUID|PARTLABEL)=(.*)", re.DOTALL)
_OPTION = re.compile(r'(?:"[^"]*"|[^,"])+')
"""A comma inside quotes does not divide options (SELinux contexts hold some)."""


@dataclass(frozen=True, slots=True)
class Line:
    """One entry."""

    source: str
    """As written, quotes and escapes resolved: ``UUID=…``, ``/dev/sda1``, ``server:/export``."""
    target: str
    """Absolute path without a slash at the end; ``none`` or ``swap`` for swap space."""
    type: str
    options: tuple[str, ...]

    @property
    def tag(self) -> tuple[str, str]:
        """Name and value of ``UUID=…`` and its like; both empty for anything else."""
        match = _TAG.fullmatch(self.source)
        return (match[1], match[2]) if match else ("", "")

    def option(self, name: str) -> str:
        """The value of ``name=value``; empty where there is none."""
        for option in self.options:
            key, _, value = option.partition("=")
            if key == name:
                return value.strip('"')
        return ""


def parse(text: str) -> tuple[list[Line], list[str]]:
    """Entries in the order of the file, and a sentence for each line that is broken."""
    lines: list[Line] = []
    notes: list[str] = []
    for number, written in enumerate(text.splitlines(), start=1):
        fields = written.split()
        if not fields or fields[0].startswith("#"):
            continue
        comment = next((index for index, field in enumerate(fields) if field.startswith("#")), len(fields))
        # libmount drops a line whose fifth or sixth field is no number, and we keep to it: it is no entry.
        if comment < 3 or not all(field.isdigit() for field in fields[4:comment]):
            notes.append(f"/etc/fstab line {number} is broken and was passed over: {written.strip()}")
            continue
        source, target, type = (_unescape(field) for field in fields[:3])
        options = fields[3] if comment > 3 else "defaults"
        if "" in options.split(","):
            notes.append(f"/etc/fstab line {number} has an empty option: {options}")
        words = tuple(_OPTION.findall(_unescape(options)))
        lines.append(Line(_unquote(source), _clean(target), type, words))
    return lines, notes


def _unescape(field: str) -> str:
    """Octal escapes as getmntent(3) writes them: ``\\040`` is a space."""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8) & 0xFF), field)


def _unquote(source: str) -> str:
    """``UUID="…"`` and ``"UUID=…"`` name the same as without quotes; mount(8) takes both kinds of quotes."""
    name, equals, value = source.partition("=")
    if equals and len(value) > 1 and value[0] in "\"'" and value[-1] == value[0]:
        return f"{name}={value[1:-1]}"
    if len(source) > 1 and source[0] in "\"'" and source[-1] == source[0]:
        return source[1:-1]
    return source


def _clean(target: str) -> str:
    if not target.startswith("/"):
        return target
    return "/" + "/".join(part for part in target.split("/") if part not in ("", "."))
