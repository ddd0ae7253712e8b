"""A guest's /etc/fstab (fstab(5)): which volume it mounts where. Broken lines are dropped, never the file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

_ESCAPE = re.compile(rb"\\([0-7]{3})")
_TAG = re.compile(r"(UUID|LABEL|PARTUUID|PARTLABEL|ID)=(.*)", re.DOTALL)
_OPTION = re.compile(r'(?:"[^"]*"|[^,"]|"(?![^"]*"))+')
"""A comma inside quotes does not divide options (SELinux contexts hold some)."""
_FIELDS = re.compile(r"[ \t]+")
"""Only these divide fields: a name may hold any other blank, as a no-break space."""
_LONGEST = 4096
"""Letters of a field: ``PATH_MAX``, and mount(2) takes a page of options."""
_MOST_SHOWN = 200
_NUMBER = re.compile(r"[+-]?\d+", re.ASCII)


class Tool(StrEnum):
    """Who reads the file when the guest starts."""

    LIBMOUNT = "mount -a"
    """Drops a line whose fifth or sixth field is no number."""
    SYSTEMD = "systemd"
    """Its generator takes getmntent(3), which has 0 for such a field."""


@dataclass(frozen=True, slots=True)
class Line:
    """One entry; or what a mount unit says, in the same words."""

    source: str
    """As written, quotes and escapes resolved: ``UUID=…``, ``/dev/sda1``, ``server:/export``."""
    target: str
    """Absolute path without a slash at the end; ``none`` or ``swap`` for swap space."""
    type: str
    options: tuple[str, ...]
    origin: str = "/etc/fstab"
    """Where in the guest it is written."""

    @property
    def tag(self) -> tuple[str, str]:
        """Name and value of ``UUID=…`` and its like; both empty for anything else."""
        match = _TAG.fullmatch(self.source)
        return (match[1], match[2]) if match else ("", "")

    def option(self, name: str) -> str:
        """The value of ``name=value``, of several the last; empty where there is none."""
        for option in reversed(self.options):
            key, _, value = option.partition("=")
            if key == name:
                return value.strip('"')
        return ""

    def has(self, *names: str) -> bool:
        """Whether one of the options is among ``names``, with a value or without."""
        return any(option.partition("=")[0] in names for option in self.options)


def parse(content: bytes, tool: Tool = Tool.LIBMOUNT) -> tuple[list[Line], list[str]]:
    """Entries in the order of the file, and a sentence for each line that is broken.

    Text of the result carries bytes that are not UTF-8 as surrogate escapes, as ``os.fsdecode`` does.
    """
    lines: list[Line] = []
    notes: list[str] = []
    for number, raw in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        written = raw.decode("utf-8", "surrogateescape").strip(" \t\r\0")
        if not written or written.startswith("#"):
            continue
        fields = _FIELDS.split(written)
        comment = next((index for index, field in enumerate(fields) if field.startswith("#")), len(fields))
        if not _is_entry(fields[:comment], tool):
            notes.append(f"/etc/fstab line {number} is broken and was passed over: {written[:_MOST_SHOWN]}")
            continue
        source, target, type = (_unescape(field) for field in fields[:3])
        options = fields[3] if comment > 3 else "defaults"
        if "" in options.split(","):
            notes.append(f"/etc/fstab line {number} has an empty option: {options[:_MOST_SHOWN]}")
        lines.append(Line(unquote(source), clean_path(target), type, split_options(_unescape(options))))
    return lines, notes


def split_options(text: str) -> tuple[str, ...]:
    """The options of ``a,b=c,d="e,f"``; empty ones are left out."""
    return tuple(_OPTION.findall(text))


def unquote(source: str) -> str:
    """``UUID="…"`` and ``"UUID=…"`` name the same as without quotes; mount(8) takes both kinds of quotes."""
    name, equals, value = source.partition("=")
    if equals and len(value) > 1 and value[0] in "\"'" and value[-1] == value[0]:
        return f"{name}={value[1:-1]}"
    if len(source) > 1 and source[0] in "\"'" and source[-1] == source[0]:
        return source[1:-1]
    return source


def clean_path(target: str) -> str:
    """An absolute path without doubled, single-dot and closing parts; another word as it is."""
    if not target.startswith("/"):
        return target
    return "/" + "/".join(part for part in target.split("/") if part not in ("", "."))


def _is_entry(fields: list[str], tool: Tool) -> bool:
    """Whether the tool takes a line for an entry. What stands behind the sixth field is nobody's business."""
    if len(fields) < 3 or max(map(len, fields[:3])) > _LONGEST:
        return False
    if all(_NUMBER.fullmatch(field) for field in fields[4:6]):
        return True
    return tool is Tool.SYSTEMD and fields[1].startswith("/")


def _unescape(field: str) -> str:
    """Octal escapes as getmntent(3) has them: ``\\040`` is a space; each stands for a byte."""
    raw = field.encode("utf-8", "surrogateescape")
    return _ESCAPE.sub(lambda match: bytes((int(match[1], 8) & 0xFF,)), raw).decode(
        "utf-8", "surrogateescape"
    )
