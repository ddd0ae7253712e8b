"""Tables of numbers in the files of disk images."""

from __future__ import annotations

import sys
from array import array

from converters.disks.base import Disk

_NATIVE = {"little": "<", "big": ">"}[sys.byteorder]


def numbers(file: Disk, start: int, count: int, kind: str, order: str = "<") -> array[int]:
    """``count`` numbers from byte ``start`` of a file; fewer where it ends.

    ``kind`` is ``I`` for 32 bits and ``Q`` for 64, ``order`` is ``<`` or ``>`` (struct(3)).

    Raises:
        DiskError: the file cannot be read.
    """
    entries = array(kind)
    data = file.pread(count * entries.itemsize, start)
    entries.frombytes(data[: len(data) // entries.itemsize * entries.itemsize])
    if order != _NATIVE:
        entries.byteswap()
    return entries
