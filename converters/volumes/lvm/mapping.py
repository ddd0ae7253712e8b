"""From a group's metadata to the bytes of a logical volume, through the volumes that it is made of.

Linear, striped and RAID 0 volumes lie where the metadata say. Of a mirror (``dm-mirror``) the first leg
counts: the kernel reads it wherever its log does not say that all are the same, and copies it to the others.
Of a RAID 1 (``dm-raid``) it is the first leg that the newest superblock calls in sync, as md reads it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from converters.disks.base import Disk
from converters.disks.mapped import MappedDisk, Segment, Stripe
from converters.errors import DiskError
from converters.volumes.base import Volume
from converters.volumes.lvm import text
from converters.volumes.lvm.text import Section

_SECTOR = 512
_MOST_SEGMENTS = 100_000
_MOST_PIECES = 2048
"""Of stripes that do not lie in one piece each."""
_MOST_WORK = 500_000
"""Segments looked at in all, for volumes that are made of many pieces of others."""
_DEEPEST = 8
"""Volumes within volumes; LVM nests four."""
_RAID_MAGIC = 0x64526D44
_RAID_STATE = struct.Struct("<I4xIIQQQQ")
"""Magic, devices, place, events, failed devices, recovery and resync offset (``dm-raid.c``)."""
_ALL_DONE = (1 << 64) - 1
_CHANGING = ("reshape_count", "delta_disks", "data_offset", "data_copies")
"""What the metadata have while a RAID is being reshaped, and nothing here understands."""

Starts = Mapping[str, tuple[Volume, int]]
"""Where the first extent of each physical volume lies, by its name in the metadata, in bytes of a volume."""


class OtherEngineError(Exception):
    """A logical volume that is not read as it lies; says why."""


class MissingError(OtherEngineError):
    """A logical volume with a part on a physical volume that is not here."""


class VolumeMap:
    """The logical volumes of one group."""

    def __init__(
        self, disks: Sequence[Disk], volumes: Mapping[str, Section], extent: int, starts: Starts
    ) -> None:
        """``extent`` is in bytes."""
        self._disks = disks
        self._volumes = volumes
        self._extent = extent
        self._starts = starts
        self._known: dict[str, tuple[Segment, ...]] = {}
        self._left = _MOST_SEGMENTS
        self._work = _MOST_WORK

    def segments(self, name: str, depth: int = 0) -> tuple[Segment, ...]:
        """Where the volume ``name`` lies, in order and without gaps.

        Raises:
            OtherEngineError: it is of a type that is not read as it lies, or not whole.
            DiskError: the metadata contradict themselves, or a disk cannot be read.
        """
        if depth > _DEEPEST:
            raise DiskError("the metadata of LVM have volumes within volumes without end")
        if name not in self._volumes:
            raise DiskError("the metadata of LVM name a volume that they do not describe")
        if name not in self._known:
            self._known[name] = tuple(self._whole(self._volumes[name], depth))
        return self._known[name]

    def _whole(self, volume: Section, depth: int) -> Iterator[Segment]:
        count = text.number(volume, "segment_count")
        self._left -= count
        if not count or self._left < 0:
            raise OtherEngineError("it has no segments, or too many")
        position = 0
        for index in range(1, count + 1):
            segment = text.section(volume, f"segment{index}")
            if text.number(segment, "start_extent") != position:
                raise DiskError("the metadata of LVM contradict themselves")
            extents = text.number(segment, "extent_count")
            if not extents:
                raise DiskError("the metadata of LVM contradict themselves")
            position += extents
            yield from self._segment(segment, extents, count, depth)

    def _segment(self, segment: Section, extents: int, count: int, depth: int) -> Sequence[Segment]:
        type = text.string(segment, "type")
        match type:
            case "striped" | "linear":
                areas = _pairs(segment, "stripes")
                return self._striped(segment, areas, extents, depth)
            case "mirror":
                (leg, first), *_ = _pairs(segment, "mirrors")
                return self._area(leg, first, extents * self._extent, depth)
            case "raid0" | "raid0_meta" | "raid1" if count > 1 or any(key in segment for key in _CHANGING):
                raise OtherEngineError("it is being reshaped")
            case "raid0":
                return self._striped(
                    segment, [(name, 0) for name in _names(segment, "raid0_lvs")], extents, depth
                )
            case "raid0_meta":
                return self._striped(
                    segment, [(name, 0) for name in _names(segment, "raids")[1::2]], extents, depth
                )
            case "raid1":
                return self._area(self._leg(segment, depth), 0, extents * self._extent, depth)
            case _:
                raise OtherEngineError(f"volumes of type {type} are not read in process")

    def _striped(
        self, segment: Section, areas: Sequence[tuple[str, int]], extents: int, depth: int
    ) -> Sequence[Segment]:
        width = text.number(segment, "stripe_count")
        if not width or len(areas) != width or extents % width:
            raise DiskError("the metadata of LVM contradict themselves")
        length = extents // width * self._extent
        columns = [self._area(name, first, length, depth) for name, first in areas]
        unit = text.number(segment, "stripe_size") * _SECTOR if width > 1 else length
        if not unit or length % unit:
            raise DiskError("the metadata of LVM contradict themselves")
        return columns[0] if width == 1 else _interleaved(columns, unit)

    def _area(self, name: str, first: int, length: int, depth: int) -> Sequence[Segment]:
        """``length`` bytes from extent ``first`` of a physical or logical volume."""
        offset = first * self._extent
        if name in self._volumes:
            segments = self.segments(name, depth + 1)
            self._work -= len(segments)
            if self._work < 0:
                raise OtherEngineError("it is made of too many pieces of others")
            return _cut(segments, offset, length)
        if name not in self._starts:
            raise MissingError("a part of it is on a physical volume that is not here")
        volume, start = self._starts[name]
        if first < 0 or start + offset + length > volume.size:
            raise DiskError("the metadata of LVM name extents outside their volume")
        return [Segment(length, (Stripe(volume.disk, volume.start + start + offset),), length)]

    def _leg(self, segment: Section, depth: int) -> str:
        """The image of a RAID 1 that is read."""
        names = _names(segment, "raids")
        if not names or len(names) % 2:
            raise DiskError("the metadata of LVM contradict themselves")
        states: dict[str, tuple[int, int, int, int]] = {}
        for meta, image in zip(names[::2], names[1::2], strict=True):
            if "LV_REBUILD" in text.array(self._volumes.get(image, {}), "flags"):
                continue
            try:
                head = MappedDisk(self._disks, self.segments(meta, depth + 1)).pread(_RAID_STATE.size, 0)
                self.segments(image, depth + 1)
            except (MissingError, KeyError):
                continue
            if len(head) == _RAID_STATE.size:
                magic, _, place, events, failed, recovery, _ = _RAID_STATE.unpack(head)
                if magic == _RAID_MAGIC and place < len(names) // 2:
                    states[image] = (events, failed, place, recovery)
        if not states:
            raise OtherEngineError("none of its legs has a superblock")
        newest, failed, _, _ = max(states.values())
        for image, (events, _, place, recovery) in states.items():
            if events + 1 >= newest and recovery == _ALL_DONE and not (place < 64 and failed >> place & 1):
                return image
        raise OtherEngineError("none of its legs is in sync")


def _pairs(segment: Section, name: str) -> list[tuple[str, int]]:
    """Names of volumes, and the first extent in each."""
    values = text.array(segment, name)
    pairs = [
        (volume, first)
        for volume, first in zip(values[::2], values[1::2], strict=False)
        if isinstance(volume, str) and isinstance(first, int)
    ]
    if not pairs or 2 * len(pairs) != len(values):
        raise DiskError("the metadata of LVM contradict themselves")
    return pairs


def _names(segment: Section, name: str) -> list[str]:
    return [value for value in text.array(segment, name) if isinstance(value, str)]


def _cut(segments: Sequence[Segment], offset: int, length: int) -> list[Segment]:
    """``length`` bytes from ``offset`` of what ``segments`` make up."""
    pieces = []
    end, start = offset + length, 0
    for segment in segments:
        first, last = max(start, offset), min(start + segment.size, end)
        if first < last:
            row, rest = divmod(first - start, segment.unit * len(segment.stripes))
            if len(segment.stripes) == 1:
                moved = first - start
            elif rest:
                raise OtherEngineError("it begins in the middle of a row of stripes")
            else:
                moved = row * segment.unit
            stripes = tuple(Stripe(stripe.disk, stripe.offset + moved) for stripe in segment.stripes)
            unit = last - first if len(stripes) == 1 else segment.unit
            pieces.append(Segment(last - first, stripes, unit))
        start += segment.size
    if sum(piece.size for piece in pieces) != length:
        raise DiskError("the metadata of LVM name extents outside their volume")
    return pieces


def _interleaved(columns: Sequence[Sequence[Segment]], unit: int) -> list[Segment]:
    """Stripes over columns of one length, each of one piece or of several."""
    length = sum(segment.size for segment in columns[0])
    cuts = {0, length}
    for column in columns:
        position = 0
        for segment in column:
            position += segment.size
            cuts.add(position)
    places = sorted(cuts)
    pieces = []
    if len(places) * len(columns) > _MOST_PIECES:
        raise OtherEngineError("its stripes lie in too many pieces")
    for first, last in pairwise(places):
        rows = [_cut(column, first, last - first) for column in columns]
        if (last - first) % unit or any(len(row) != 1 or len(row[0].stripes) != 1 for row in rows):
            raise OtherEngineError("its stripes lie on stripes")
        stripes = tuple(row[0].stripes[0] for row in rows)
        pieces.append(Segment((last - first) * len(columns), stripes, unit))
    return pieces
