"""What a guest's partitions make up: RAID, unlocked encryption and logical volumes, in any nesting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from converters.disks.base import Disk
from converters.disks.mapped import MappedDisk, Segment
from converters.volumes.base import Volume
from converters.volumes.lvm import logical_volumes
from converters.volumes.md import find_arrays
from converters.volumes.partitions import read_volumes
from converters.volumes.probe import probe

_MOST_ROUNDS = 6
"""Layers on top of each other: LVM on encryption on RAID takes three."""
_MOST_VOLUMES = 4096


@dataclass(frozen=True, slots=True)
class Assembly:
    """What was made of a guest's volumes in process."""

    disks: tuple[Disk, ...]
    """The guest's disks, then those that were assembled."""
    volumes: tuple[Volume, ...]
    """What was assembled, each on one of ``disks``."""
    left: tuple[str, ...]
    """What another engine may make something of, each with the reason."""
    notes: tuple[str, ...]
    """What a person should know, each a sentence."""


def assemble(disks: Sequence[Disk], volumes: Sequence[Volume]) -> Assembly:
    """Assemble what the members among ``volumes`` make up, then what that makes up, and so on.

    Raises:
        DiskError: a disk cannot be read.
    """
    builder = _Builder(disks, volumes)
    for _ in range(_MOST_ROUNDS):
        if not builder.round():
            break
    return builder.result()


class _Builder:
    def __init__(self, disks: Sequence[Disk], volumes: Sequence[Volume]) -> None:
        self._disks = list(disks)
        self._given = tuple(volumes)
        self._found: list[Volume] = []
        self._known: set[tuple[str, tuple[Segment, ...]]] = set()
        self._left: tuple[str, ...] = ()
        self._notes: Mapping[str, None] = {}

    def round(self) -> bool:
        """Assemble from what there is; whether that gave anything new."""
        before = len(self._found)
        volumes = (*self._given, *self._found)
        arrays = find_arrays(self._disks, volumes)
        logical = logical_volumes(self._disks, volumes)
        for array in arrays.arrays:
            self._add(array.name, array.segments, with_partitions=True)
        for volume in logical.volumes:
            self._add(volume.name, volume.segments, with_partitions=False)
        # What an earlier round lacked, this one may have: only what is said last counts.
        self._left = (*arrays.left, *(f"LVM: {reason}" for reason in logical.left))
        notes = (*arrays.notes, *(f"LVM: {note}" for note in logical.notes))
        self._notes = dict.fromkeys(f"{note}." for note in notes)
        return before < len(self._found) < _MOST_VOLUMES

    def result(self) -> Assembly:
        return Assembly(tuple(self._disks), tuple(self._found), self._left, tuple(self._notes))

    def _add(self, name: str, segments: tuple[Segment, ...], *, with_partitions: bool) -> None:
        if (name, segments) in self._known:
            return
        self._known.add((name, segments))
        size = sum(segment.size for segment in segments)
        match segments:
            case (Segment(stripes=(stripe,)),):
                disk, start = stripe.disk, stripe.offset
            case _:
                disk, start = self._append(segments), 0
        content = probe(self._disks[disk], start, size)
        whole = Volume(disk, start, size, 0, content, name=name)
        self._found.append(whole)
        if with_partitions and not content.type:
            self._found += self._partitions(name, segments)

    def _partitions(self, name: str, segments: tuple[Segment, ...]) -> list[Volume]:
        """The partitions of an array, which can have a table as a disk has."""
        index = self._append(segments)
        table = read_volumes(self._disks[index], index)
        separator = "p" if name[-1].isdigit() else ""
        return [
            replace(volume, number=0, name=f"{name}{separator}{volume.number}")
            for volume in table.volumes
            if volume.number
        ]

    def _append(self, segments: tuple[Segment, ...]) -> int:
        # A disk sees only those before it: what is made of it later cannot lead back to it.
        self._disks.append(MappedDisk(tuple(self._disks), segments))
        return len(self._disks) - 1
