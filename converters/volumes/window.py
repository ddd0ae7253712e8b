"""A range of a disk that is looked at for signatures."""

from __future__ import annotations

import uuid

from converters.disks.base import Disk

_HEAD = 72 << 10
"""Bytes; nearly every signature lies in the first 64 KiB and a superblock."""


class Window:
    """``size`` bytes of a disk from ``start``; reads outside come back short."""

    def __init__(self, disk: Disk, start: int, size: int) -> None:
        self._disk = disk
        self._start = start
        self.size = max(0, min(size, disk.size - start))
        self._head = disk.pread(min(_HEAD, self.size), start) if self.size else b""

    def read(self, offset: int, length: int) -> bytes:
        """Bytes from ``offset``; fewer where the range ends, none before it begins."""
        if offset < 0 or offset >= self.size:
            return b""
        if offset + length <= len(self._head):
            return self._head[offset : offset + length]
        return self._disk.pread(min(length, self.size - offset), self._start + offset)

    def has(self, offset: int, magic: bytes) -> bool:
        """Whether ``magic`` stands at ``offset``."""
        return self.read(offset, len(magic)) == magic

    def little(self, offset: int, length: int) -> int:
        """A little-endian number; what is outside the range counts as zeros."""
        return int.from_bytes(self.read(offset, length), "little")

    def big(self, offset: int, length: int) -> int:
        """A big-endian number."""
        return int.from_bytes(self.read(offset, length), "big")

    def uuid(self, offset: int) -> str:
        """A UUID as blkid(8) writes it; empty where it is all zeros or cut off."""
        return format_uuid(self.read(offset, 16))

    def text(self, offset: int, length: int, encoding: str = "utf-8") -> str:
        """A label: up to its first NUL, without blanks behind it, what cannot be decoded escaped."""
        return clean(self.read(offset, length), encoding)


def format_uuid(raw: bytes) -> str:
    """Sixteen bytes as a UUID; empty for zeros."""
    return str(uuid.UUID(bytes=raw)) if len(raw) == 16 and any(raw) else ""


def clean(raw: bytes, encoding: str = "utf-8") -> str:
    """A label's bytes as text."""
    return raw.decode(encoding, "backslashreplace").partition("\0")[0].rstrip()
