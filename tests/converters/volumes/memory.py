"""A disk in memory."""

from __future__ import annotations


class MemoryDisk:
    """``data`` as a disk."""

    def __init__(self, data: bytes | bytearray) -> None:
        self._data = bytes(data)

    @property
    def size(self) -> int:
        return len(self._data)

    def pread(self, length: int, offset: int) -> bytes:
        return self._data[offset : offset + length]

    def close(self) -> None:
        """Nothing to release."""
