"""A disk under a copy-on-write file of user-mode Linux, so that a recovered disk reads as one.

The file is a header, a bitmap of sectors, and the changed sectors at their own offsets behind it (version 3,
``arch/um/drivers/cow_user.c`` in Linux).
"""

from __future__ import annotations

import os
import re
import struct
from bisect import bisect_left, bisect_right

from converters.disks.base import Disk
from converters.disks.raw import open_file, read_fully
from converters.errors import DiskError

_HEADER = struct.Struct(">4sIIQIII4096s")
"""Magic, version, time of change of the base, its size, sector size, alignment, format, the base's path."""
_MAGIC = b"OOOM"
_VERSION = 3
_BITMAP_FORMAT = 0
_PIECE = 1 << 20
_NOT_ZERO = re.compile(rb"[^\0]+")


class CowDisk:
    """``base`` with the sectors of the copy-on-write file at ``cow_path`` in place of its own.

    Memory: 16 bytes for each run of changed sectors.
    """

    def __init__(self, base: Disk, cow_path: str) -> None:
        """Takes over ``base``: closing this closes it.

        Raises:
            DiskError: not a copy-on-write file, or made over a disk of another size.
        """
        self._base = base
        self._path = cow_path
        self._descriptor = open_file(cow_path)
        try:
            self._load()
        except BaseException:
            os.close(self._descriptor)
            raise

    def _load(self) -> None:
        head = read_fully(self._descriptor, _HEADER.size, 0)
        if len(head) < _HEADER.size:
            raise DiskError(f"{self._path} is too short for a copy-on-write file", "recover the disk again")
        magic, version, _, size, sector, alignment, form, _ = _HEADER.unpack(head)
        if (magic, version, form) != (_MAGIC, _VERSION, _BITMAP_FORMAT):
            raise DiskError(
                f"{self._path} is no copy-on-write file of version {_VERSION}", "recover the disk again"
            )
        if size != self._base.size or not sector or sector & (sector - 1) or not alignment:
            raise DiskError(
                f"{self._path} was made over a disk of {size} bytes in sectors of {sector}, "
                f"not over this one of {self._base.size} bytes",
                "recover the disk again",
            )
        bitmap = _align(_HEADER.size, alignment)
        length = -(-size // (8 * sector))
        self._data = _align(bitmap + length, alignment)
        self._starts, self._ends = self._runs(bitmap, length, sector)

    def _runs(self, bitmap: int, length: int, sector: int) -> tuple[list[int], list[int]]:
        """Where runs of changed sectors begin and end, in bytes of the disk, in order."""
        starts: list[int] = []
        ends: list[int] = []
        for position in range(0, length, _PIECE):
            piece = read_fully(self._descriptor, min(_PIECE, length - position), bitmap + position)
            for match in _NOT_ZERO.finditer(piece):
                for index, byte in enumerate(match[0], position + match.start()):
                    for bit in range(8):
                        if not byte >> bit & 1:
                            continue
                        start = (index * 8 + bit) * sector
                        if ends and ends[-1] == start:
                            ends[-1] = start + sector
                        else:
                            starts.append(start)
                            ends.append(start + sector)
        return starts, ends

    @property
    def size(self) -> int:
        """Size in bytes."""
        return self._base.size

    @property
    def changed(self) -> int:
        """Bytes that come from the copy-on-write file."""
        return sum(self._ends) - sum(self._starts)

    def pread(self, length: int, offset: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``; shorter only at the end of the disk.

        Raises:
            DiskError: the bytes cannot be read.
        """
        end = min(offset + length, self.size)
        first, last = bisect_right(self._ends, offset), bisect_left(self._starts, end)
        if first >= last:
            return self._base.pread(length, offset)
        data = bytearray(self._base.pread(length, offset))
        for index in range(first, last):
            start, stop = max(self._starts[index], offset), min(self._ends[index], end)
            data[start - offset : stop - offset] = self._changed(stop - start, start)
        return bytes(data)

    def _changed(self, length: int, offset: int) -> bytes:
        try:
            data = read_fully(self._descriptor, length, self._data + offset)
        except OSError as error:
            raise DiskError(f"cannot read {self._path}: {error.strerror}") from error
        if len(data) != length:
            raise DiskError(
                f"{self._path} ends before the sector at disk byte {offset}", "recover the disk again"
            )
        return data

    def close(self) -> None:
        """Close the copy-on-write file and the base; a second call does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
        self._base.close()


def _align(value: int, alignment: int) -> int:
    return -(-value // alignment) * alignment
