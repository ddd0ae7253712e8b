"""What a guest's partitions make up: RAID, unlocked encryption and logical volumes, in any nesting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from converters.disks.base import Disk
from converters.disks.mapped import MappedDisk, Segment, Stripe
from converters.errors import DiskError, UnsupportedError
from converters.volumes.base import Left, Volume
from converters.volumes.luks.keys import KeyFolder
from converters.volumes.lvm import MEMBER as LVM_MEMBER
from converters.volumes.lvm import logical_volumes
from converters.volumes.md import MEMBER as MD_MEMBER
from converters.volumes.md import find_arrays
from converters.volumes.partitions import read_volumes
from converters.volumes.probe import probe

LUKS_MEMBER = "crypto_LUKS"
NO_KEY = "no key was given for it (--luks-keys)"
NO_KEYS = KeyFolder()
_MOST_ROUNDS = 6
"""Layers on top of each other: LVM on encryption on RAID takes three."""
_MOST_VOLUMES = 4096


@dataclass(frozen=True, slots=True)
class Assembly:
    """What was made of a guest's volumes."""

    disks: tuple[Disk, ...]
    """The guest's disks, then those that were assembled."""
    volumes: tuple[Volume, ...]
    """What was assembled, each on one of ``disks``."""
    left: tuple[Left, ...]
    """What nobody assembled."""
    beyond: tuple[Left, ...]
    """What was assembled beyond this process, with the reason against doing it here."""
    notes: tuple[str, ...]
    """What a person should know, each a sentence."""


class Beyond(Protocol):
    """Assembles what cannot be assembled here."""

    def __call__(self, disks: Sequence[Disk], members: Sequence[Volume]) -> Mapping[str, Disk]:
        """Volumes by the paths of their devices, or by ``md:`` and an array's UUID; empty when that fails."""


def assemble(
    disks: Sequence[Disk],
    volumes: Sequence[Volume],
    keys: KeyFolder = NO_KEYS,
    beyond: Beyond | None = None,
) -> Assembly:
    """Assemble what the members among ``volumes`` make up, then what that makes up, and so on.

    Args:
        keys: open encrypted volumes.
        beyond: is asked, once, for what cannot be assembled here.

    Raises:
        DiskError: a disk cannot be read.
        UnsupportedError: a key that was given does not open its volume.
    """
    builder = _Builder(disks, volumes, keys)
    for _ in range(_MOST_ROUNDS):
        if builder.round():
            continue
        if beyond is None or not builder.left:
            break
        builder.ask(beyond)
        beyond = None
    return builder.result()


def unlocked_name(uuid: str) -> str:
    """The device of an opened encrypted volume, as systemd names what no /etc/crypttab does."""
    return f"/dev/mapper/luks-{uuid}"


class _Builder:
    def __init__(self, disks: Sequence[Disk], volumes: Sequence[Volume], keys: KeyFolder) -> None:
        self._disks = list(disks)
        self._keys = keys
        self._locks: dict[Volume, str] = {}
        self._given = tuple(volumes)
        self._found: list[Volume] = []
        self._known: set[tuple[str, tuple[Segment, ...]]] = set()
        self._names: Mapping[str, str] = {}
        self._beyond: list[Left] = []
        self._notes: Mapping[str, None] = {}
        self.left: tuple[Left, ...] = ()

    def round(self) -> bool:
        """Assemble from what there is; whether that gave anything new."""
        before = len(self._found)
        volumes = (*self._given, *self._found)
        for volume in volumes:
            if volume.content.type == LUKS_MEMBER and volume not in self._locks:
                self._locks[volume] = self._unlock(volume)
        arrays = find_arrays(self._disks, volumes)
        logical = logical_volumes(self._disks, volumes)
        for array in arrays.arrays:
            self._add(array.name, array.segments, with_partitions=True)
        for assembled in logical.volumes:
            self._add(assembled.name, assembled.segments, with_partitions=False)
        # What an earlier round lacked, this one may have: only what is said last counts.
        self._names = {f"md:{uuid.replace('-', '')}": name for uuid, name in arrays.names.items()}
        found = {volume.name for volume in self._found}
        self.left = tuple(left for left in (*arrays.left, *logical.left) if left.name not in found)
        notes = (
            *filter(None, self._locks.values()),
            *arrays.notes,
            *(f"LVM: {note}" for note in logical.notes),
        )
        self._notes = dict.fromkeys(f"{note}." for note in notes)
        return before < len(self._found) < _MOST_VOLUMES

    def ask(self, beyond: Beyond) -> None:
        """Have the rest assembled elsewhere, from the members that nothing here was made of."""
        members = [
            volume
            for volume in (*self._given, *self._found)
            if volume.content.type in (MD_MEMBER, LVM_MEMBER) and not volume.name.startswith("/dev/md")
        ]
        found = {volume.name for volume in self._found}
        reasons = {left.name: left for left in self.left}
        for key, disk in beyond(self._disks, members).items():
            name = self._names.get(key, key)
            if name in found or len(self._found) >= _MOST_VOLUMES:
                continue
            self._disks.append(disk)
            try:
                self._add_on(len(self._disks) - 1, 0, disk.size, name, with_partitions=key.startswith("md:"))
            except DiskError:
                continue  # it was started, and cannot be read: it stays among what is left
            self._beyond.append(reasons.get(name, Left(name, "what it lies on is not assembled in process")))

    def result(self) -> Assembly:
        """What there is now."""
        return Assembly(
            tuple(self._disks), tuple(self._found), self.left, tuple(self._beyond), tuple(self._notes)
        )

    def _unlock(self, volume: Volume) -> str:
        """Open an encrypted volume; what there is to say of it."""
        from converters.volumes.luks.unlock import unlock  # its imports take a tenth of a second

        uuid = volume.content.uuid
        try:
            disk = unlock(self._disks[volume.disk], volume, self._keys)
        except (DiskError, UnsupportedError) as error:
            return f"the encrypted volume {uuid} is not opened: {error}"
        if disk is None:
            return f"the encrypted volume {uuid} is not opened: {NO_KEY}"
        self._disks.append(disk)
        self._add_on(len(self._disks) - 1, 0, disk.size, unlocked_name(uuid), with_partitions=False)
        return ""

    def _add(self, name: str, segments: tuple[Segment, ...], *, with_partitions: bool) -> None:
        if (name, segments) in self._known:
            return
        self._known.add((name, segments))
        size = sum(segment.size for segment in segments)
        match segments:
            case (Segment(stripes=(stripe,)),):
                self._add_on(stripe.disk, stripe.offset, size, name, with_partitions=with_partitions)
            case _:
                self._add_on(self._append(segments), 0, size, name, with_partitions=with_partitions)

    def _add_on(self, disk: int, start: int, size: int, name: str, *, with_partitions: bool) -> None:
        content = probe(self._disks[disk], start, size)
        self._found.append(Volume(disk, start, size, 0, content, name=name))
        if with_partitions and not content.type:
            self._found += self._partitions(name, Segment(size, (Stripe(disk, start),), size))

    def _partitions(self, name: str, whole: Segment) -> list[Volume]:
        """The partitions of an array, which can have a table as a disk has."""
        index = self._append((whole,))
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
