"""A first look at a volume: what it asks of its reader, before any engine is taken."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from converters.disks import Disk
from converters.errors import FilesystemError, UnsupportedError
from converters.filesystems.engines import IN_PROCESS, Engine, Need
from converters.filesystems.ext import ExtFilesystem
from converters.filesystems.memory import Memory
from converters.filesystems.place import describe
from converters.filesystems.xfs import XfsFilesystem
from converters.volumes.base import Volume


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen."""

    need: Need
    failed: Mapping[Engine, str] = field(default_factory=dict)
    """Engines that are ruled out already, with the reasons."""
    has_errors: bool = False
    """Whether the guest's kernel had found damage."""
    journal: Volume | None = None
    """Where its journal is, if that is a device of its own and has to be replayed."""


def look(disk: Disk, volume: Volume, volumes: Iterable[Volume], memory: Memory) -> Look:
    """Look at a volume of ``disk`` that is read in process; a journal of its own may be one of ``volumes``.

    Raises:
        DiskError: the disk cannot be read.
    """
    type = volume.content.type
    try:
        with in_process(disk, volume, memory) as filesystem:
            need = Need(type, dirty=filesystem.needs_recovery)
            outside = filesystem.external_journal if isinstance(filesystem, ExtFilesystem) else ""
            has_errors = filesystem.has_errors
    except (FilesystemError, UnsupportedError) as error:
        return Look(Need(type), {IN_PROCESS[type]: str(error)})
    if not need.dirty or not outside:
        return Look(need, has_errors=has_errors)
    # Only who can be told which device it is replays such a journal.
    wanted = ("jbd", outside)
    found = (other for other in volumes if (other.content.type, other.content.uuid) == wanted)
    journal = next(found, None)
    where = "none of the disks" if journal is None else describe(journal)
    reason = f"its journal is a device of its own, UUID={outside}, on {where}"
    if journal is None:
        return Look(need, {Engine.UML: reason, Engine.GUESTFS: reason}, has_errors)
    return Look(Need(type), {IN_PROCESS[type]: reason, Engine.GUESTFS: reason}, has_errors, journal)


def in_process(disk: Disk, volume: Volume, memory: Memory) -> ExtFilesystem | XfsFilesystem:
    """The reader in process of an ext or XFS file system. Raises as its class."""
    if IN_PROCESS[volume.content.type] is Engine.XFS:
        return XfsFilesystem(disk, volume.start, volume.size, memory)
    return ExtFilesystem(disk, volume.start, volume.size, memory)
