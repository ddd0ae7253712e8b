"""Where a disk may hold other bytes than zeros, so that whoever copies it need not read its holes.

Formats know what is stored, files know their holes (lseek(2), ``SEEK_DATA``), servers tell
(``base:allocation`` of the NBD protocol). A disk that does not know counts as stored from end to end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, runtime_checkable

from converters.disks.base import Disk

Stretch = tuple[int, int]
"""First byte, and the byte behind the last."""


@runtime_checkable
class Sparse(Protocol):
    """A disk that knows its holes."""

    def stretches(self, start: int, end: int) -> Iterator[Stretch]:
        """The stretches between ``start`` and ``end`` that may hold other bytes than zeros, in order.

        Raises:
            DiskError: the disk cannot say.
        """


def stretches(disk: Disk, start: int, end: int) -> Iterator[Stretch]:
    """The stretches of any disk, those that touch each other as one; nothing beyond its end.

    Raises:
        DiskError: the disk cannot say.
    """
    end = min(end, disk.size)
    if start >= end:
        return iter(())
    return _merged(disk.stretches(start, end) if isinstance(disk, Sparse) else [(start, end)])


def shifted(disk: Disk, start: int, size: int, place: int) -> Iterator[Stretch]:
    """The stretches of ``size`` bytes of ``disk`` from ``start``, where these are moved to ``place``.

    Raises:
        DiskError: the disk cannot say.
    """
    for first, end in stretches(disk, start, start + size):
        yield first - start + place, end - start + place


def _merged(found: Iterable[Stretch]) -> Iterator[Stretch]:
    waiting: Stretch | None = None
    for first, end in found:
        if waiting is not None and first <= waiting[1]:
            waiting = waiting[0], max(end, waiting[1])
            continue
        if waiting is not None:
            yield waiting
        waiting = first, end
    if waiting is not None:
        yield waiting
