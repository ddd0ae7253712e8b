"""Volume groups put together from their physical volumes: which bytes of which disk are a logical volume's.

Only what is exact without the device mapper: linear and striped volumes, all of whose parts are there, and so
origins of snapshots. Thin and cached ones, snapshots, mirrors and RAID are left to an engine with a kernel.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from converters.disks.base import Disk
from converters.disks.mapped import Segment, Stripe
from converters.errors import DiskError
from converters.volumes.base import Volume
from converters.volumes.lvm import label, text
from converters.volumes.lvm.label import PhysicalVolume
from converters.volumes.lvm.text import Section

MEMBER = "LVM2_member"
_SECTOR = 512
_MOST_SEGMENTS = 100_000
_NAME = ""
"""Where a group's section keeps its own name: no name in LVM's text is empty."""


@dataclass(frozen=True, slots=True)
class LogicalVolume:
    """A logical volume, and where it lies."""

    name: str
    """Path of its device: ``/dev/GROUP/VOLUME``."""
    segments: tuple[Segment, ...]
    """In order and without gaps."""

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(segment.size for segment in self.segments)


@dataclass(frozen=True, slots=True)
class Assembled:
    """What became of the physical volumes."""

    volumes: tuple[LogicalVolume, ...]
    """Those that can be read as they lie."""
    is_complete: bool
    """Whether there are no others."""
    notes: tuple[str, ...]
    """What is wrong with groups, each a sentence without its full stop."""


def logical_volumes(disks: Sequence[Disk], volumes: Iterable[Volume]) -> Assembled:
    """The logical volumes on a guest's volumes. What is damaged is noted and left to another engine."""
    found: list[LogicalVolume] = []
    members: list[PhysicalVolume] = []
    notes: list[str] = []
    for volume in volumes:
        if volume.content.type == MEMBER:
            try:
                members.append(label.read(disks[volume.disk], volume))
            except DiskError as error:
                notes.append(f"disk {volume.disk} partition {volume.number}: {error.message}")
    groups = _newest(members)
    left = bool(notes) or (bool(members) and not groups)
    for metadata in groups:
        try:
            readable, others = _group(metadata, members)
        except DiskError as error:
            notes.append(error.message)
            left = True
        else:
            found += readable
            left = left or others
    return Assembled(tuple(found), not left, tuple(notes))


def _newest(members: Iterable[PhysicalVolume]) -> list[Section]:
    """For each group its newest metadata; a group whose metadata nobody can understand is not among them."""
    groups: dict[str, tuple[int, Section]] = {}
    for member in members:
        try:
            parsed = text.parse(member.metadata)
            name = next((key for key, value in parsed.items() if isinstance(value, dict)), "")
            group: Section = {**text.section(parsed, name), _NAME: name}
            sequence, identity = text.number(group, "seqno"), text.string(group, "id")
        except DiskError:
            continue
        if identity not in groups or sequence > groups[identity][0]:
            groups[identity] = (sequence, group)
    return [group for _, group in groups.values()]


def _group(group: Section, members: Sequence[PhysicalVolume]) -> tuple[list[LogicalVolume], bool]:
    """The group's volumes that are read as they lie, and whether it has others."""
    name = text.string(group, _NAME)
    extent = text.number(group, "extent_size") * _SECTOR
    if not extent:
        raise DiskError(f"the volume group {name} has extents of no size")
    starts = _starts(group, members)
    listed = group.get("logical_volumes")
    volumes = {
        key: value
        for key, value in (listed.items() if isinstance(listed, dict) else ())
        if isinstance(value, dict)
    }
    stores = _stores(volumes.values())
    found, others = [], False
    for key, content in volumes.items():
        if "VISIBLE" not in text.array(content, "status"):
            continue
        try:
            if key in stores:
                raise _OtherEngineError
            found.append(LogicalVolume(f"/dev/{name}/{key}", tuple(_segments(content, extent, starts))))
        except _OtherEngineError:
            others = True
    return found, others


def _stores(volumes: Iterable[Section]) -> set[str]:
    """Volumes that hold what snapshots differ by, and origins that a snapshot is being merged into."""
    names = set()
    for volume in volumes:
        segment = volume.get("segment1")
        if isinstance(segment, dict) and segment.get("type") == "snapshot":
            names |= {str(segment.get(key)) for key in ("cow_store", "merging_store") if key in segment}
            if "merging_store" in segment:
                names.add(str(segment.get("origin")))
    return names


def _starts(group: Section, members: Sequence[PhysicalVolume]) -> Mapping[str, tuple[Volume, int]]:
    """Where the first extent of each physical volume lies, by its name in the metadata."""
    by_uuid: dict[str, list[PhysicalVolume]] = {}
    for member in members:
        by_uuid.setdefault(member.uuid, []).append(member)
    starts = {}
    for name, content in text.section(group, "physical_volumes").items():
        if isinstance(content, dict):
            same = by_uuid.get(text.string(content, "id").replace("-", ""), [])
            if len(same) > 1:
                group_name = text.string(group, _NAME)
                raise DiskError(f"the volume group {group_name} is there twice: one disk is another's copy")
            if same:
                starts[name] = (same[0].volume, text.number(content, "pe_start") * _SECTOR)
    return starts


class _OtherEngineError(Exception):
    """A logical volume that is not read as it lies, or not whole."""


def _segments(volume: Section, extent: int, starts: Mapping[str, tuple[Volume, int]]) -> Iterator[Segment]:
    count = text.number(volume, "segment_count")
    if not 0 < count <= _MOST_SEGMENTS:
        raise _OtherEngineError
    position = 0
    for index in range(1, count + 1):
        segment = text.section(volume, f"segment{index}")
        if text.string(segment, "type") != "striped" or text.number(segment, "start_extent") != position:
            raise _OtherEngineError
        extents = text.number(segment, "extent_count")
        position += extents
        yield _segment(segment, extents, extent, starts)


def _segment(
    segment: Section, extents: int, extent: int, starts: Mapping[str, tuple[Volume, int]]
) -> Segment:
    width = text.number(segment, "stripe_count")
    pairs = text.array(segment, "stripes")
    if not width or len(pairs) != 2 * width or not extents or extents % width:
        raise DiskError("the metadata of LVM contradict themselves")
    length = extents // width * extent
    stripes = []
    for name, first in zip(pairs[::2], pairs[1::2], strict=True):
        if name not in starts or not isinstance(name, str) or not isinstance(first, int):
            raise _OtherEngineError  # it lies on a disk that is not here
        volume, start = starts[name]
        offset = start + first * extent
        if first < 0 or offset + length > volume.size:
            raise DiskError("the metadata of LVM name extents outside their volume")
        stripes.append(Stripe(volume.disk, volume.start + offset))
    unit = text.number(segment, "stripe_size") * _SECTOR if width > 1 else length
    if not unit or length % unit:
        raise DiskError("the metadata of LVM contradict themselves")
    return Segment(extents * extent, tuple(stripes), unit)
