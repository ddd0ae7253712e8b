"""A disk made of stretches of others, as a logical volume is."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from converters.disks.base import Disk
from converters.disks.stretches import Stretch, shifted


@dataclass(frozen=True, slots=True)
class Stripe:
    """Where one stripe of a segment begins."""

    disk: int
    """Index of the disk."""
    offset: int
    """Bytes from its start."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a mapped disk: one piece, or several in turns."""

    size: int
    """Bytes."""
    stripes: tuple[Stripe, ...]
    unit: int
    """Bytes taken from a stripe before it is the next one's turn."""


class MappedDisk:
    """Segments one after another over ``disks``, which stay their owner's."""

    def __init__(self, disks: Sequence[Disk], segments: Sequence[Segment]) -> None:
        self._disks = disks
        self._segments = tuple(segments)
        ends = list(accumulate((segment.size for segment in segments), initial=0))
        self._starts, self._size = ends[:-1], ends[-1]

    @property
    def size(self) -> int:
        """Size in bytes."""
        return self._size

    def pread(self, length: int, offset: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``; shorter only at the end of the disk.

        Raises:
            DiskError: a disk below cannot be read.
        """
        end = min(offset + length, self._size)
        parts = []
        while offset < end:
            index = bisect_right(self._starts, offset) - 1
            segment, within = self._segments[index], offset - self._starts[index]
            row, place = divmod(within, segment.unit * len(segment.stripes))
            column, inside = divmod(place, segment.unit)
            stripe = segment.stripes[column]
            count = min(end - offset, segment.unit - inside)
            parts.append(self._disks[stripe.disk].pread(count, stripe.offset + row * segment.unit + inside))
            offset += count
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def piece(self, start: int, size: int) -> tuple[Disk, int] | None:
        """The disk on which ``size`` bytes from ``start`` lie in one piece, and from where; else None."""
        index = bisect_right(self._starts, start) - 1
        segment, within = self._segments[index], start - self._starts[index]
        match segment.stripes:
            case (stripe,) if start + size <= self._starts[index] + segment.size:
                return self._disks[stripe.disk], stripe.offset + within
            case _:
                return None

    def stretches(self, start: int, end: int) -> Iterator[Stretch]:
        """See ``Sparse``; what is striped counts as stored."""
        while start < end:
            index = bisect_right(self._starts, start) - 1
            segment, within = self._segments[index], start - self._starts[index]
            count = min(end - start, segment.size - within)
            match segment.stripes:
                case (stripe,):
                    yield from shifted(self._disks[stripe.disk], stripe.offset + within, count, start)
                case _:
                    yield start, start + count
            start += count

    def close(self) -> None:
        """Nothing to release."""
