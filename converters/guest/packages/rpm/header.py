"""The header of an installed package (rpm's documentation, "Package Format", section "Header Structure")."""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator, Mapping

from converters.guest.packages.values import Package

_MAGIC = b"\x8e\xad\xe8\x01"
"""Begins a header in a package's file; most databases store it without the magic and what is reserved."""
_NAME, _VERSION, _RELEASE, _EPOCH, _ARCHITECTURE = 1000, 1001, 1002, 1003, 1022
_FOLDER_NUMBERS, _BASENAMES, _FOLDERS = 1116, 1117, 1118
_INT32, _STRING, _STRING_ARRAY, _I18N = 4, 6, 8, 9
_MOST_ENTRIES = 1 << 16
_LONGEST = 400
"""Bytes of a name or version."""

_Entry = tuple[int, int, int]
"""Type, offset and count."""


class HeaderError(ValueError):
    """A blob is no header."""


class Header:
    """A header's values by tag; what it does not say counts as empty.

    Raises:
        HeaderError: the blob is no header, or cut off.
    """

    def __init__(self, blob: bytes) -> None:
        start = 8 if blob[:4] == _MAGIC else 0
        if len(blob) < start + 8:
            raise HeaderError("cut off")
        entries, size = struct.unpack_from(">2I", blob, start)
        self._data = start + 8 + 16 * entries
        if not 0 < entries <= _MOST_ENTRIES or self._data + size > len(blob):
            raise HeaderError("cut off")
        self._blob = blob
        self._end = self._data + size
        self._entries: Mapping[int, _Entry] = {
            tag: (kind, offset, count)
            for tag, kind, offset, count in struct.iter_unpack(">4I", blob[start + 8 : self._data])
        }

    def package(self) -> Package | None:
        """The package; None where it has no name: keys and such are no packages."""
        name, version = self._text(_NAME), self._text(_VERSION)
        if not name or name == "gpg-pubkey":
            return None
        epoch = self._numbers(_EPOCH, 1)
        release = self._text(_RELEASE)
        full = f"{f'{epoch[0]}:' if epoch else ''}{version}{f'-{release}' if release else ''}"
        return Package(name, full, self._text(_ARCHITECTURE))

    def owned(self, paths: Collection[str], basenames: Collection[bytes]) -> Iterator[str]:
        """Those of ``paths`` that belong to the package; ``basenames`` are their last parts."""
        if not any(b"\0" + name + b"\0" in self._blob for name in basenames):
            return  # which is true of nearly every package, and costs a search only
        names = self._strings(_BASENAMES)
        numbers = self._numbers(_FOLDER_NUMBERS, len(names))
        folders = self._strings(_FOLDERS)
        for name, number in zip(names, numbers, strict=False):
            if number < len(folders) and (path := _text(folders[number] + name)) in paths:
                yield path

    def _text(self, tag: int) -> str:
        kind, offset, _ = self._entries.get(tag, (0, 0, 0))
        if kind not in (_STRING, _STRING_ARRAY, _I18N):
            return ""
        start = self._data + offset
        end = self._blob.find(b"\0", start, min(self._end, start + _LONGEST))
        return _text(self._blob[start:end]) if end >= 0 else ""

    def _numbers(self, tag: int, most: int) -> tuple[int, ...]:
        kind, offset, count = self._entries.get(tag, (0, 0, 0))
        count = min(count, most)
        start = self._data + offset
        if kind != _INT32 or start + 4 * count > self._end:
            return ()
        return struct.unpack_from(f">{count}I", self._blob, start)

    def _strings(self, tag: int) -> list[bytes]:
        kind, offset, count = self._entries.get(tag, (0, 0, 0))
        if kind != _STRING_ARRAY:
            return []
        return self._blob[self._data + offset : self._end].split(b"\0", count)[:count]


def _text(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")
