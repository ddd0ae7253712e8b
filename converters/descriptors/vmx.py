"""VMX files as a dictionary: VMware's line grammar, escapes and encodings.

The grammar is that of VMware's own reader (open-vm-tools, ``lib/dict/dictll.c``): a line is ``name = value``
or ``name = "value"``, then perhaps a comment; ``|XX`` stands for a byte; any other line is no setting.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from converters.errors import DescriptorError

LARGEST_VMX = 4 << 20
"""Bytes; real ones have some 5 KiB."""
_BOM = b"\xef\xbb\xbf"
_LINE = re.compile(
    rb"""[ \t]*+([^\s=\#]++)[ \t]*+=[ \t]*+(?:"([^"]*+)"|([^\s\#"]*+))[ \t]*+(?:\#.*)?""",
    re.VERBOSE | re.DOTALL,
)
_COMMENT = re.compile(rb"[ \t]*(?:#.*)?", re.DOTALL)
_ESCAPE = re.compile(rb"\|([0-9A-Fa-f]{2})")
_ASCII = b"scsi0:0.fileName"
_SHOWN = 60
_MOST_NOTES = 20


@dataclass(frozen=True, slots=True)
class Vmx:
    """The settings of a VMX file, by name in lower case: VMware tells no case apart."""

    raw: Mapping[str, bytes]
    encoding: str
    notes: tuple[str, ...] = ()

    def get(self, name: str, default: str = "") -> str:
        """A setting as text, with escapes in place of bytes that its encoding does not have."""
        value = self.raw.get(name.lower())
        return default if value is None else value.decode(self.encoding, "backslashreplace")

    def truth(self, name: str, default: bool = False) -> bool:
        """A setting that is true or false, in VMware's words for it."""
        return {"true": True, "1": True, "yes": True, "on": True, "": default}.get(
            self.get(name).strip().lower(), False
        )

    def number(self, name: str) -> int | None:
        """A setting that is a number, not below 0; None where it is absent, or no such number."""
        text = self.get(name).strip()
        return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None

    def file_names(self, name: str) -> tuple[bytes, ...]:
        """The names under which the file that a setting names may lie on disk: decoded, and as it stands."""
        value = self.raw.get(name.lower(), b"")
        if not value:
            return ()
        try:
            decoded = value.decode(self.encoding).encode("utf-8")
        except UnicodeError:
            return (value,)
        return (decoded,) if decoded == value else (decoded, value)


def parse_vmx(data: bytes) -> Vmx:
    """Read a VMX file: its encoding first, then all of it.

    Raises:
        DescriptorError: too large, or no VMX at all.
    """
    if len(data) > LARGEST_VMX:
        raise DescriptorError(f"a VMX file of {len(data):,} bytes", "is it a VMX file?")
    raw: dict[str, bytes] = {}
    notes: list[str] = []
    for number, line in _lines(data):
        match = _LINE.fullmatch(line)
        if match is None:
            if not _COMMENT.fullmatch(line) and len(notes) < _MOST_NOTES:
                notes.append(f"line {number} is no setting and does not count: {_shown(line)}")
            continue
        name = match[1].decode("ascii", "backslashreplace").lower()
        value = _ESCAPE.sub(_byte, match[3] if match[2] is None else match[2])
        if raw.get(name, value) != value and len(notes) < _MOST_NOTES:
            notes.append(f"{name} stands more than once: the last, in line {number}, counts")
        raw[name] = value
    if not raw:
        raise DescriptorError("not a VMX file: it holds no setting", "copy the machine's files again")
    encoding, doubt = _encoding(raw)
    if len(notes) == _MOST_NOTES:
        notes.append("there may be more lines of that kind")
    return Vmx(raw, encoding, (*doubt, *notes))


def _lines(data: bytes) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(data.removeprefix(_BOM).split(b"\n"), 1):
        yield number, line.removesuffix(b"\r").partition(b"\0")[0]


def _byte(match: re.Match[bytes]) -> bytes:
    return bytes((int(match[1], 16),))


def _encoding(raw: Mapping[str, bytes]) -> tuple[str, tuple[str, ...]]:
    """The codec of the declared encoding, and what there is to say of it; UTF-8 where it cannot be used."""
    declared = raw.get(".encoding", b"").decode("ascii", "backslashreplace").strip()
    text = b"\n".join(raw.values())
    if not declared:
        return "utf-8", ()
    try:
        codec = codecs.lookup(declared).name
        if _ASCII.decode(codec, "backslashreplace") != _ASCII.decode("ascii"):
            raise LookupError("keys are ASCII in every encoding that VMware writes")
        text.decode(codec)
    except (LookupError, UnicodeError):
        if _is_utf8(text):
            return "utf-8", () if text.isascii() else (f"it is not in {declared}, as it says, but in UTF-8",)
        return "utf-8", (f"it cannot be read in the encoding {declared} that it names: names may look odd",)
    return codec, ()


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode("utf-8")
    except UnicodeError:
        return False
    return True


def _shown(line: bytes) -> str:
    text = line.decode("utf-8", "backslashreplace")
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")
