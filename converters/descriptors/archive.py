"""OVA files: tar archives whose members are read where they lie (DSP0243, 7; POSIX ustar, pax and GNU names).

Nothing is extracted, so a member's name never becomes a path.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from converters.disks.raw import open_file, read_fully
from converters.errors import DescriptorError

_BLOCK = 512
_MOST_MEMBERS = 200_000
_LONGEST_HEADER = 1 << 20
"""Bytes of an extended header or a long name."""
_FILES = (b"0", b"\0", b"7")
_HEADERS = (b"x", b"g", b"L", b"K")
_OCTAL = re.compile(rb"[0-7]{1,12}")


@dataclass(frozen=True, slots=True)
class Member:
    """A regular file in an archive."""

    name: str
    """Without a leading ``./``."""
    offset: int
    """Bytes from the start of the archive."""
    size: int


def members(path: str) -> tuple[Member, ...]:
    """The regular files of the tar archive at ``path``, in their order.

    Raises:
        DiskError: it cannot be opened.
        DescriptorError: no tar archive, or a damaged one.
    """
    descriptor = open_file(path)
    try:
        size = os.lseek(descriptor, 0, os.SEEK_END)
        return tuple(_walk(descriptor, size, path))
    finally:
        os.close(descriptor)


def _walk(descriptor: int, size: int, path: str) -> Iterator[Member]:
    position, extended = 0, _Extended()
    for _ in range(_MOST_MEMBERS):
        header = read_fully(descriptor, _BLOCK, position)
        if len(header) < _BLOCK or not any(header):
            if position == 0:
                raise DescriptorError(f"{path} is no OVA: it is no tar archive", "copy it again")
            return
        content = position + _BLOCK
        name, length = _described(header, position, path)
        kind = header[156:157]
        if kind in _FILES:
            name, length = extended.name or name, length if extended.size is None else extended.size
        if content + length > size:
            raise DescriptorError(f"{path} ends within its member {name!r}", "copy it again")
        position = content + -(-length // _BLOCK) * _BLOCK
        if kind in _HEADERS:
            body = read_fully(descriptor, min(length, _LONGEST_HEADER), content)
            extended = extended.with_header(kind, body)
            continue
        if kind in _FILES:
            yield Member(name.removeprefix("./"), content, length)
        extended = _Extended()
    raise DescriptorError(f"{path} has more than {_MOST_MEMBERS:,} members", "is it an OVA?")


@dataclass(frozen=True, slots=True)
class _Extended:
    """What a header before a member's own says of it."""

    name: str = ""
    size: int | None = None

    def with_header(self, kind: bytes, body: bytes) -> _Extended:
        match kind:
            case b"L":
                return replace(self, name=_text(body))
            case b"x":
                found = self
                for key, value in _records(body):
                    if key == b"path":
                        found = replace(found, name=_text(value))
                    elif key == b"size" and value.isdigit() and len(value) < 19:
                        found = replace(found, size=int(value))
                return found
            case _:
                return self


_LENGTH_DIGITS = 7
"""Digits of a record's length: more than a header may have bytes."""


def _records(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The ``length key=value`` records of a pax header (POSIX.1, pax(1))."""
    position = 0
    while position < len(body):
        blank = body.find(b" ", position, position + _LENGTH_DIGITS + 1)
        digits = body[position:blank] if blank > 0 else b""
        if not digits.isdigit() or not len(digits) < int(digits) <= len(body) - position:
            return
        record = body[blank + 1 : position + int(digits)]
        position += int(digits)
        key, _, value = record.removesuffix(b"\n").partition(b"=")
        yield key, value


def _described(header: bytes, position: int, path: str) -> tuple[str, int]:
    """Name and size by a member's own header."""
    checksum = sum(header) - sum(header[148:156]) + 8 * ord(" ")
    told = header[148:156].strip(b"\0 ")
    if not _OCTAL.fullmatch(told) or int(told, 8) != checksum:
        what = "is no OVA: it is no tar archive" if position == 0 else f"is damaged at byte {position:,}"
        raise DescriptorError(
            f"{path} {what}", "copy it again; one that is compressed must be unpacked first"
        )
    name, prefix = _text(header[:100]), ""
    if header[257:265] == b"ustar\x0000":
        prefix = _text(header[345:500])
    return (f"{prefix}/{name}" if prefix else name), _size(header[124:136], path)


def _size(digits: bytes, path: str) -> int:
    if digits[0] & 0x80:  # GNU tar's for 8 GiB and more: a binary number
        size = int.from_bytes(bytes((digits[0] & 0x7F,)) + digits[1:], "big")
    else:
        text = digits.strip(b"\0 ")
        if text and not _OCTAL.fullmatch(text):
            raise DescriptorError(f"{path} has a member of unknown size", "copy it again")
        size = int(text or b"0", 8)
    return size


def _text(name: bytes) -> str:
    return name.partition(b"\0")[0].decode("utf-8", "backslashreplace")
