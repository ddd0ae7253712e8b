"""Opens the volumes of a guest, each with the first engine that reads it exactly."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from converters.disks import Disk, DiskSource, open_disk
from converters.errors import FilesystemError, ScratchFullError, UnsupportedError
from converters.filesystems.base import Filesystem
from converters.filesystems.btrfs import BtrfsFilesystem, Storage
from converters.filesystems.btrfs.members import Members
from converters.filesystems.by_uml import UserModeLinux
from converters.filesystems.engines import IN_PROCESS, Decision, Engine, Need, next_engine
from converters.filesystems.guestfs import Appliance, ApplianceDevice
from converters.filesystems.guestfs_reader import GuestfsFilesystem
from converters.filesystems.limits import DEFAULT_LIMITS, Limits
from converters.filesystems.look import in_process, look
from converters.filesystems.memory import Memory
from converters.filesystems.place import Place, describe
from converters.filesystems.uml import NoRoomError, RecoveryError
from converters.filesystems.walked import WalkedFilesystem
from converters.guest.facts import StepDown
from converters.process import ProcessError
from converters.volumes.assembly import NO_KEYS, assemble
from converters.volumes.base import Volume
from converters.volumes.luks.keys import KeyFolder

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Opened:
    """A file system ready to be read."""

    filesystem: Filesystem
    engine: str
    """``ext2fs``, ``xfs``, ``btrfs``, ``uml-reader``, ``guestfs``; after ``uml+`` what read it recovered."""
    recovered: bool
    """Whether its journal was replayed."""


class VolumeOpener:
    """Opens the volumes of one guest, each once, and closes them all; disks and appliance are shared."""

    def __init__(
        self,
        sources: Sequence[DiskSource],
        scratch: Path,
        allowed: Collection[Engine],
        keys: KeyFolder = NO_KEYS,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        """Open the disks; ``keys`` open encrypted volumes on them.

        Raises:
            DiskError: one of them cannot be opened.
        """
        self.step_downs: list[StepDown] = []
        self._notes: list[str] = []
        self._sources = tuple(sources)
        self._scratch = scratch
        self._allowed = frozenset(allowed)
        self._keys = keys
        self._limits = limits
        self._opened: dict[tuple[Place, str], Opened] = {}
        self.needs_appliance = False
        """Whether there are volumes that only libguestfs sees."""
        self._memory = Memory()
        self._storages: dict[Volume, Storage] = {}
        self._journals: dict[Volume, Volume] = {}
        """Journals on devices of their own, by the volume that they serve."""
        self._volumes: tuple[Volume, ...] = ()
        with ExitStack() as stack:
            self.disks: tuple[Disk, ...] = tuple(self._open_disk(stack, source) for source in self._sources)
            self._members = Members(self.disks, ())
            self.appliance = Appliance(tuple(zip(self._sources, self.disks, strict=True)), scratch)
            stack.callback(self.appliance.close)
            self._stack = stack.pop_all()
        self._uml = UserModeLinux(scratch, self._stack, limits)

    def assemble(self, volumes: Sequence[Volume]) -> tuple[Volume, ...]:
        """What ``volumes`` make up (``converters.volumes.assembly``)."""
        assembled = assemble(self.disks, volumes, self._keys, self._assemble_by_kernel)
        self.disks = assembled.disks
        self._notes += assembled.notes
        self.needs_appliance = bool(assembled.left)
        for left in assembled.beyond:
            self._step_down(StepDown(left.name, "in-process", str(Engine.UML), left.reason))
        self._volumes = (*volumes, *assembled.volumes)
        self._members = Members(self.disks, self._volumes)
        return assembled.volumes

    def _assemble_by_kernel(self, disks: Sequence[Disk], members: Sequence[Volume]) -> Mapping[str, Disk]:
        """What user-mode Linux makes of the members of arrays and volume groups; nothing where it cannot."""
        if Engine.UML not in self._allowed:
            return {}
        try:
            return self._uml.assemble(disks, members)
        except (FilesystemError, UnsupportedError, ProcessError) as error:
            log.warning("user-mode Linux assembles none of the volumes that are left: %s", error)
            self._notes.append(f"User-mode Linux assembles none of the volumes that are left: {error}.")
            return {}

    def distinct(self, volumes: Sequence[Volume]) -> list[Volume]:
        """``volumes``, but of a btrfs on several devices only one."""
        return self._members.distinct(volumes)

    def peek(self, place: Place, options: str) -> Filesystem | None:
        """What a mount of a btrfs with these options shows, not seen whole yet: to look at a few paths in it.

        None where it is not read in process. Raises as ``open``.
        """
        if not isinstance(place, Volume) or IN_PROCESS.get(place.content.type) is not Engine.BTRFS:
            return None
        if Engine.BTRFS not in self._allowed:
            return None
        try:
            storage = self._storage(place)
        except (FilesystemError, UnsupportedError):
            return None
        return BtrfsFilesystem(storage, options)

    @property
    def uses_appliance(self) -> bool:
        """Whether libguestfs is switched on."""
        return Engine.GUESTFS in self._allowed

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of the volumes read, each a sentence."""
        return (*self._notes, *self.appliance.notes)

    def open(self, place: Place, options: str = "") -> Opened:
        """The file system at ``place``, by the first engine that can.

        Args:
            options: mount options that choose what is seen (``subvol=@``).

        Raises:
            FilesystemError: every engine failed on it.
            UnsupportedError: no engine that is switched on reads it.
            DiskError: the disk cannot be read.
            ScratchFullError: no space to replay its journal in.
        """
        key = (place, options)
        if key not in self._opened:
            self._opened[key] = self._open(place, options)
        return self._opened[key]

    def close(self) -> None:
        """Close file systems, appliance and disks; a second call does nothing."""
        self._opened.clear()
        self._stack.close()

    def _open(self, place: Place, options: str) -> Opened:
        need, failed = self._look(place)
        tried, lacks_room = bool(failed), False
        while (decision := next_engine(need, self._allowed, failed)).engine is not None:
            try:
                opened = self._open_by(decision.engine, place, options, need)
            except (FilesystemError, UnsupportedError, ProcessError) as error:
                failed[decision.engine] = str(error)
                tried, lacks_room = True, lacks_room or isinstance(error, NoRoomError)
                continue
            self._tell(place, decision)
            return opened
        reasons = "; ".join(f"{engine}: {reason}" for engine, reason in decision.passed)
        message = f"{describe(place)} ({need.type or 'unknown content'}) cannot be read: {reasons}"
        if lacks_room:
            # Another worker, or this one later, may have the room.
            raise ScratchFullError(f"{message}; the scratch folder is too full for that")
        if tried:
            raise FilesystemError(message)
        raise UnsupportedError(message, "allow the engine that reads it: --engines")

    def _look(self, place: Place) -> tuple[Need, dict[Engine, str]]:
        """What the volume needs, and what the look itself already ruled out."""
        type = place.content.type
        if isinstance(place, ApplianceDevice):
            return Need(type, on_disk=False), {}
        if type not in IN_PROCESS or IN_PROCESS[type] is Engine.BTRFS:
            return Need(type), {}
        seen = look(self.disks[place.disk], place, self._volumes, self._memory)
        if seen.has_errors:
            self._notes.append(f"{describe(place)}: the guest's kernel had found damage in it")
        if seen.journal is not None:
            self._journals[place] = seen.journal
        return seen.need, dict(seen.failed)

    def _open_by(self, engine: Engine, place: Place, options: str, need: Need) -> Opened:
        match engine, place:
            case ((Engine.EXT2FS | Engine.XFS), Volume()):
                return Opened(self._read(self.disks[place.disk], place), str(engine), recovered=False)
            case Engine.BTRFS, Volume():
                filesystem = WalkedFilesystem(
                    BtrfsFilesystem(self._storage(place), options), self._memory.kept
                )
                self._stack.callback(filesystem.close)
                return Opened(filesystem, str(engine), recovered=self._storage(place).was_replayed)
            case Engine.UML, Volume():
                reader = f"{engine}+{IN_PROCESS[need.type]}"
                return Opened(self._read(*self._recover(place)), reader, recovered=True)
            case Engine.UML_READER, Volume():
                recovered = need.dirty or place in self._journals
                inner = self._uml.read(self.disks, place, options, self._journals.get(place))
                walked = WalkedFilesystem(inner, self._memory.kept)
                return Opened(walked, str(engine), recovered=recovered)
            case _:
                appliances = GuestfsFilesystem(self.appliance, self._device(place), options)
                return Opened(appliances, "guestfs", recovered=need.dirty)

    def _device(self, place: Place) -> str:
        """What libguestfs calls a place."""
        match place:
            case Volume(name=""):
                return self.appliance.device(place)
            case _:
                return place.name

    def _read(self, disk: Disk, volume: Volume) -> Filesystem:
        """A reader in process that has seen the whole tree once: some seconds a million files."""
        filesystem = in_process(disk, volume, self._memory)
        self._stack.callback(filesystem.close)
        if filesystem.needs_recovery:
            raise RecoveryError("the journal still asks to be replayed")
        return WalkedFilesystem(filesystem, self._memory.kept)

    def _storage(self, volume: Volume) -> Storage:
        """The btrfs whose subvolumes are mounted from here, opened once."""
        if volume not in self._storages:
            storage = Storage(self._members.part(volume), self._members.beside(volume), self._memory)
            self._stack.callback(storage.close)
            self._storages[volume] = storage
            self._notes += [f"{describe(volume)}: {note}" for note in storage.notes]
        return self._storages[volume]

    def _recover(self, volume: Volume) -> tuple[Disk, Volume]:
        """A disk on which the volume is after its journal's replay, and where it is there."""
        replayed = self._uml.replay(self.disks, volume)
        self._notes += [f"{describe(volume)}: {note}" for note in replayed.notes]
        return replayed.disk, replayed.volume

    def _tell(self, place: Place, decision: Decision) -> None:
        for engine, reason in decision.passed:
            self._step_down(StepDown(describe(place), engine, str(decision.engine), reason))

    def _step_down(self, step: StepDown) -> None:
        log.warning("%s: %s instead of %s: %s", step.volume, step.instead, step.engine, step.reason)
        self.step_downs.append(step)

    def _open_disk(self, stack: ExitStack, source: DiskSource) -> Disk:
        disk = open_disk(source, self._limits.unpacked_bytes)
        stack.callback(disk.close)
        return disk
