"""Which of a guest's volumes are devices of one and the same btrfs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from converters.disks.base import Disk
from converters.errors import FilesystemError, UnsupportedError
from converters.filesystems.btrfs import superblock
from converters.filesystems.btrfs.pool import Part
from converters.filesystems.cached import CachedRange
from converters.volumes.base import Volume

TYPE = "btrfs"


class Members:
    """The volumes of a guest, looked at for btrfs on several devices."""

    def __init__(self, disks: Sequence[Disk], volumes: Iterable[Volume]) -> None:
        self._disks = disks
        self._volumes = tuple(volume for volume in volumes if volume.content.type == TYPE)
        self._numbers: dict[Volume, int | None] = {}

    def part(self, volume: Volume) -> Part:
        """The range of its disk."""
        return Part(self._disks[volume.disk], volume.start, volume.size)

    def beside(self, volume: Volume) -> list[Part]:
        """The volumes that say they belong to the same file system."""
        return [
            self.part(other)
            for other in self._volumes
            if other != volume and other.content.uuid == volume.content.uuid
        ]

    def distinct(self, found: Iterable[Volume]) -> list[Volume]:
        """``found`` without the further devices of a btrfs that is among them; copies of a device stay."""
        kept: list[Volume] = []
        for volume in found:
            number = self._number(volume)
            siblings = [
                one for one in kept if one.content == volume.content and self._number(one) is not None
            ]
            if number is None or not siblings or number in map(self._number, siblings):
                kept.append(volume)
        return kept

    def _number(self, volume: Volume) -> int | None:
        """Its number among several devices; None for all else."""
        if volume.content.type != TYPE:
            return None
        if volume not in self._numbers:
            try:
                found = superblock.read(CachedRange(*self.part(volume)))
                self._numbers[volume] = found.device if found.devices > 1 else None
            except (FilesystemError, UnsupportedError):
                self._numbers[volume] = None
        return self._numbers[volume]
