"""How much a reading process may stream, and be waited for: none may keep a worker for days.

What an honest tree takes as tar is bounded by its disks, but not by their size alone:

- A file without holes takes its bytes once. A small one takes 1 KiB of tar, with a long name 3 KiB, and on
  disk at least its inode of 256 bytes; compressing and sharing file systems hold several times their size.
  ``DISKS_TIMES`` covers both.
- A hole takes nothing on disk and its full length as tar, as zeros. Where a directory service gives out high
  user ids, ``/var/log/lastlog`` alone may span hundreds of GiB. So there is room for one file of the largest
  size that a layer may hold.

Beyond that a disk is a trap: ``truncate -s 1T`` a thousand times takes a second in a guest, and eleven days
here. Nor may a process that a disk has got hold of drip its bytes, each just before it counts as silent: the
time it is waited for is bounded by the same bytes at a rate that the slowest engine exceeds.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

from converters.disks.base import DiskSource, RawFile
from converters.errors import LimitError, ReaderDiedError
from converters.headway import INTERVAL_SECONDS
from converters.image.tar import LARGEST_FILE
from converters.reader.frames import FRAME_BYTES

DISKS_TIMES = 8
LARGEST_DISK = 62 << 40
"""Bytes of the largest virtual disk (vSphere Configuration Maximums)."""

SLOWEST_RATE = 16 << 20
"""Bytes a second of the limit, so 2 MiB a second of the disks; libguestfs without KVM: 8 (736 MB in 92 s)."""
LEAST_WAIT = 3600.0
"""Seconds that every process may be waited for beside that: an appliance starts, a journal is replayed."""

_LEAST_CHARGE = FRAME_BYTES // 16
"""Bytes that a frame counts at least: an honest child fills them, and frames must not be sent for nothing."""


def tree_limit(disks: Iterable[DiskSource]) -> int:
    """Bytes of tar that the tree on these disks may take."""
    return DISKS_TIMES * sum(map(_size, disks)) + LARGEST_FILE


def _size(source: DiskSource) -> int:
    """Bytes of a disk, without parsing anything of it: of what is not raw, the most that it can be."""
    if not isinstance(source, RawFile):
        return LARGEST_DISK
    try:
        with open(source.path, "rb", buffering=0) as file:
            return file.seek(0, os.SEEK_END)
    except OSError:  # the child says it better
        return 0


class Meter:
    """Counts what the child streams, and for how long it is waited for."""

    def __init__(self, limit: int, total_seconds: float | None = None) -> None:
        """Begin.

        Args:
            limit: bytes of tar.
            total_seconds: of waiting; None: as long as that many bytes take.
        """
        self._limit = limit
        self._left = limit
        self._longest = LEAST_WAIT + limit / SLOWEST_RATE if total_seconds is None else total_seconds
        self._waited = 0.0

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

    @property
    def patience(self) -> float:
        """Seconds that it may still be waited for."""
        return max(0.0, self._longest - self._waited)

    def wait(self, seconds: float) -> None:
        """It was waited for.

        Raises:
            LimitError: for too long in all.
        """
        self._waited += seconds
        if self._waited >= self._longest:
            raise LimitError(
                f"the reading process was waited for {self._waited / 3600:,.2g} hours in all and was ended",
                "put the disk on faster storage, or raise --reader-hours",
            )


class Pulse:
    """Counts the child's signs of life: one that sends them without pause would keep its parent for ever."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._beats = 0

    def beat(self) -> None:
        """A sign of life arrived.

        Raises:
            ReaderDiedError: there are more than time has passed for.
        """
        self._beats += 1
        if self._beats > 1 + (time.monotonic() - self._begun) / INTERVAL_SECONDS:
            raise ReaderDiedError(f"the reading process sent {self._beats} signs of life at once")
