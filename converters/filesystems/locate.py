"""Where on a guest's disks the source of a mount is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from converters.filesystems.crypttab import by_our_name
from converters.filesystems.fstab import Line
from converters.filesystems.opener import VolumeOpener
from converters.filesystems.place import Place, describe
from converters.filesystems.places import RAID, find_devices, find_volumes, hardware
from converters.volumes.base import Volume


class Locator:
    """Finds the volumes of one guest, whose root is ``root``.

    Args:
        names: what the guest calls encrypted volumes, and what they are called here.
        note: takes a sentence on what is doubtful.
    """

    def __init__(
        self,
        opener: VolumeOpener,
        volumes: Sequence[Volume],
        root: Place,
        names: Mapping[str, str],
        note: Callable[[str], None],
    ) -> None:
        self._opener = opener
        self._volumes = volumes
        self._root_disk = root.disk if isinstance(root, Volume) else None
        self._names = names
        self._note = note
        self._disks: dict[str, int] = {}
        """Disks by their hardware's names, as far as something told."""

    def learn(self, root_line: Line | None) -> None:
        """The fstab's entry for ``/`` tells what the disk of the root is called."""
        if root_line is not None and (name := hardware(root_line)) and self._root_disk is not None:
            self._disks[name] = self._root_disk

    def find(self, line: Line) -> Place | None:
        """The place of an entry's source; None where it is on no disk, or nothing tells on which."""
        line = by_our_name(line, self._names)
        found = self._opener.distinct(find_volumes(line, self._volumes))
        if name := hardware(line):
            found = self._by_hardware(line, name, found)
        if len(found) > 1:
            self._note(f"{line.source} is on {', '.join(map(describe, found))}.")
            beside = self._root_disk or 0
            found.sort(key=lambda volume: volume.disk != beside)
        if found:
            return found[0]
        if not self._opener.uses_appliance or not (self._opener.needs_appliance or self._has_raid()):
            return None
        return next(iter(find_devices(line, self._opener.appliance.devices())), None)

    def _by_hardware(self, line: Line, name: str, found: Sequence[Volume]) -> list[Volume]:
        """The one volume that a hardware's name can mean; none where several can."""
        scheme = _scheme(name)
        others = {disk for other, disk in self._disks.items() if other != name and _scheme(other) == scheme}
        fitting = [
            volume
            for volume in found
            if volume.disk == self._disks.get(name, volume.disk)
            and volume.disk not in others
            and _holds(volume, line.type)
        ]
        if len(fitting) > 1:
            listed = ", ".join(map(describe, fitting))
            self._note(f"{line.source} names a disk by its hardware; it can be {listed}.")
            return []
        for volume in fitting:
            self._disks[name] = volume.disk
        return fitting

    def _has_raid(self) -> bool:
        return any(volume.content.type == RAID for volume in self._volumes)


def _scheme(name: str) -> str:
    """``scsi`` of ``scsi-36000c29…``: names of different schemes may be of one disk."""
    return name.partition("-")[0]


def _holds(volume: Volume, type: str) -> bool:
    """Whether a volume can be mounted as a type; one driver serves ext2, ext3 and ext4."""
    content = volume.content.type
    return type in ("auto", content) or (type.startswith("ext") and content.startswith("ext"))
