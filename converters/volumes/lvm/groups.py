"""Volume groups put together from their physical volumes: which bytes of which disk are a logical volume's.

Only what is exact without the device mapper: linear and striped volumes, RAID 0, mirrors and RAID 1, where
all parts that are read are there, and so origins of snapshots. Thin and cached volumes, snapshots, other
RAID, and what is in the middle of a change are left to an engine with a kernel.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from converters.disks.base import Disk
from converters.disks.mapped import Segment
from converters.errors import DiskError
from converters.volumes.base import Left, Volume
from converters.volumes.lvm import label, text
from converters.volumes.lvm.label import PhysicalVolume
from converters.volumes.lvm.mapping import MissingError, OtherEngineError, Starts, VolumeMap
from converters.volumes.lvm.text import Section

MEMBER = "LVM2_member"
_SECTOR = 512
_POOLS = ("thin-pool", "cache-pool", "vdo-pool")
"""Volumes that hold others, and no file system of their own."""
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
    left: tuple[Left, ...]
    notes: tuple[str, ...]
    """What is wrong with groups, each a sentence without its full stop."""

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left for another engine."""
        return not self.left


def logical_volumes(disks: Sequence[Disk], volumes: Iterable[Volume]) -> Assembled:
    """The logical volumes on a guest's volumes. What is damaged is noted and left to another engine."""
    found: list[LogicalVolume] = []
    members: list[PhysicalVolume] = []
    left: list[Left] = []
    notes: list[str] = []
    for volume in volumes:
        if volume.content.type == MEMBER:
            where = f"disk {volume.disk} partition {volume.number}"
            try:
                member = label.read(disks[volume.disk], volume)
            except DiskError as error:
                notes.append(f"{where}: {error.message}")
            else:
                notes += [f"{where}: {damage}" for damage in member.damages]
                members.append(member)
    left += [Left("", note) for note in notes]
    groups = _newest(members)
    if members and not groups:
        left.append(Left("", "no physical volume has metadata that can be understood"))
    notes += _ambiguous(groups)
    for metadata in groups:
        try:
            found += _group(disks, metadata, members, left, notes)
        except DiskError as error:
            notes.append(error.message)
            left.append(Left("", error.message))
    return Assembled(tuple(found), tuple(left), tuple(notes))


def _ambiguous(groups: Iterable[Section]) -> list[str]:
    """Names that several groups have: LVM tells them apart by their UUIDs alone."""
    names = Counter(text.string(group, _NAME) for group in groups)
    return [f"{count} volume groups are called {name}" for name, count in names.items() if count > 1]


def _newest(members: Iterable[PhysicalVolume]) -> list[Section]:
    """For each group its newest metadata; a group whose metadata nobody can understand is not among them."""
    groups: dict[str, tuple[int, Section]] = {}
    for member in members:
        for metadata in member.metadata:
            try:
                parsed = text.parse(metadata)
                name = next((key for key, value in parsed.items() if isinstance(value, dict)), "")
                group: Section = {**text.section(parsed, name), _NAME: name}
                sequence, identity = text.number(group, "seqno"), text.string(group, "id")
            except DiskError:
                continue
            if identity not in groups or sequence > groups[identity][0]:
                groups[identity] = (sequence, group)
    return [group for _, group in groups.values()]


def _group(
    disks: Sequence[Disk],
    group: Section,
    members: Sequence[PhysicalVolume],
    left: list[Left],
    notes: list[str],
) -> list[LogicalVolume]:
    """The group's volumes that are read as they lie; the others are added to ``left``."""
    name = text.string(group, _NAME)
    extent = text.number(group, "extent_size") * _SECTOR
    if not extent:
        raise DiskError(f"the volume group {name} has extents of no size")
    listed = group.get("logical_volumes")
    volumes = {
        key: value
        for key, value in (listed.items() if isinstance(listed, dict) else ())
        if isinstance(value, dict)
    }
    starts = _starts(group, members, notes)
    mapped = VolumeMap(disks, volumes, extent, starts)
    stores = _stores(volumes.values())
    found = []
    for key, content in volumes.items():
        if "VISIBLE" not in text.array(content, "status") or _type(content) in _POOLS:
            continue
        if "ACTIVATION_SKIP" in text.array(content, "flags"):
            continue  # snapshots of thin volumes have it: no boot activates them
        segment = content.get("segment1")
        if isinstance(segment, dict) and "cow_store" in segment:  # the metadata call snapshots by numbers
            key = str(segment["cow_store"])
        device = f"/dev/{name}/{key}"
        try:
            if key in stores:
                raise OtherEngineError("LVM snapshots and what is merged are not read in process")
            found.append(LogicalVolume(device, mapped.segments(key)))
        except MissingError as error:
            notes.append(f"{device} is not whole: {error}")
        except OtherEngineError as error:
            left.append(Left(device, str(error)))
    return found


def _type(volume: Section) -> str:
    segment = volume.get("segment1")
    return str(segment.get("type", "")) if isinstance(segment, dict) else ""


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


def _starts(group: Section, members: Sequence[PhysicalVolume], notes: list[str]) -> Starts:
    """Where the first extent of each physical volume lies; one that LVM has given up counts as missing."""
    by_uuid: dict[str, list[PhysicalVolume]] = {}
    for member in members:
        by_uuid.setdefault(member.uuid, []).append(member)
    starts = {}
    group_name = text.string(group, _NAME)
    for name, content in text.section(group, "physical_volumes").items():
        if isinstance(content, dict):
            same = by_uuid.get(text.string(content, "id").replace("-", ""), [])
            if len(same) > 1:
                raise DiskError(f"the volume group {group_name} is there twice: one disk is another's copy")
            if "MISSING" in text.array(content, "flags"):
                same = []
            if not same:
                uuid, was = content["id"], content.get("device", "an unknown device")
                notes.append(f"the volume group {group_name} lacks its physical volume {uuid}, once {was}")
            else:
                starts[name] = (same[0].volume, text.number(content, "pe_start") * _SECTOR)
    return starts
