"""How much a reading process may stream before it is ended: a guest must not keep a worker for days.

What an honest tree takes as tar is bounded by its disks, but not by their size alone:

- A file without holes takes its bytes once. A small one takes 1 KiB of tar, with a long name 3 KiB, and on
  disk at least its inode of 256 bytes; compressing and sharing file systems hold several times their size.
  ``DISKS_TIMES`` covers both.
- A hole takes nothing on disk and its full length as tar, as zeros. Where a directory service gives out high
  user ids, ``/var/log/lastlog`` alone may span hundreds of GiB. So there is room for one file of the largest
  size that a layer may hold.

Beyond that a disk is a trap: ``truncate -s 1T`` a thousand times takes a second in a guest, and eleven days
here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from converters.disks.base import DiskSource, RawFile
from converters.errors import LimitError
from converters.image.tar import LARGEST_FILE
from converters.reader.frames import FRAME_BYTES

DISKS_TIMES = 8
LARGEST_DISK = 62 << 40
"""Bytes of the largest virtual disk (vSphere Configuration Maximums)."""

_LEAST_CHARGE = FRAME_BYTES // 16
"""Bytes that a frame counts at least: an honest child fills them, and frames must not be sent for nothing."""


def tree_limit(disks: Iterable[DiskSource]) -> int:
    """Bytes of tar that the tree on these disks may take."""
    return DISKS_TIMES * sum(map(_size, disks)) + LARGEST_FILE


def _size(source: DiskSource) -> int:
    """Bytes of a disk, without parsing anything of it: of what is not raw, the most that it can be."""
    if not isinstance(source, RawFile):
        return LARGEST_DISK
    with open(source.path, "rb", buffering=0) as file:
        return file.seek(0, os.SEEK_END)


class Meter:
    """Counts what the child streams."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._left = limit

    def take(self, size: int) -> None:
        """A frame of ``size`` bytes is about to be read.

        Raises:
            LimitError: it is one too many.
        """
        self._left -= max(size, _LEAST_CHARGE)
        if self._left < 0:
            raise LimitError(
                f"the guest's tree takes more than {self._limit / (1 << 30):,.1f} GiB as tar, holes of files "
                "filled: its conversion was ended",
                "delete its large sparse files (`find / -xdev -size +50G`), or raise --reader-tree",
            )
