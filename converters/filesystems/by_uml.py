"""What user-mode Linux does with a guest's volumes: assembles them, replays their journals, reads them."""

from __future__ import annotations

import errno
import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from converters.disks import Disk
from converters.disks.overlay import CowDisk
from converters.errors import ScratchFullError
from converters.filesystems.base import Filesystem
from converters.filesystems.limits import Limits
from converters.filesystems.uml import RecoveryError, RecoveryLimits, recover
from converters.filesystems.uml.assembly import KernelAssembly
from converters.filesystems.uml.device import DeviceDisk
from converters.filesystems.uml.ranges import Ranges, in_file
from converters.filesystems.uml.reader import UmlFilesystem
from converters.filesystems.uml.session import FILESYSTEM_MODULES, Session, SessionLimits
from converters.volumes.base import Volume

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Replayed:
    """A volume after its journal's replay."""

    disk: Disk
    volume: Volume
    """Where it is on ``disk``."""
    notes: tuple[str, ...] = ()
    """What the kernel said that a person should know."""


class UserModeLinux:
    """The machines for one guest; they and their files live as long as ``stack``."""

    def __init__(self, scratch: Path, stack: ExitStack, limits: Limits) -> None:
        self._scratch = scratch
        self._stack = stack
        self._ranges = Ranges(scratch, stack)
        self._recovery = RecoveryLimits(
            seconds=limits.uml_seconds,
            memory_mib=limits.uml_memory_mib,
            written_bytes=limits.uml_written_bytes,
        )
        self._session = SessionLimits(
            answer_seconds=limits.uml_seconds,
            memory_mib=limits.uml_memory_mib,
            written_bytes=limits.uml_written_bytes,
        )

    def assemble(self, disks: Sequence[Disk], members: Sequence[Volume]) -> Mapping[str, Disk]:
        """Volumes by name (``converters.volumes.assembly.Beyond``). Raises as ``KernelAssembly``."""
        return KernelAssembly(self._ranges, self._scratch, self._stack, self._session)(disks, members)

    def replay(self, disks: Sequence[Disk], volume: Volume) -> Replayed:
        """Replay the journal of ``volume``, which is on one of ``disks``.

        Raises:
            RecoveryError: it cannot be replayed here.
            ProcessError: user-mode Linux is not installed or cannot run here.
            DiskError: the disk cannot be read.
            ScratchFullError: no space for what the replay writes.
        """
        disk = disks[volume.disk]
        if isinstance(disk, DeviceDisk) and not volume.start:
            disk.replay(volume.content.type)
            return Replayed(disk, volume)
        cow = self._scratch / f"volume-{volume.disk}-{volume.start}.cow"
        try:
            # A copy loses its name at the end and is read on, for while it is open it can be.
            with in_file(disk, volume.start, volume.size, cow.with_suffix(".raw")) as place:
                file = place.file
                done = recover(Path(file.path), place.start, volume.content.type, cow, self._recovery)
                base = file.again()
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise ScratchFullError(f"the scratch folder {self._scratch} is full: {error}") from error
            raise RecoveryError(f"the scratch folder {self._scratch} does not do: {error}") from error
        log.info("the journal was replayed in %.1f s, %d bytes", done.seconds, done.written)
        replayed = CowDisk(base, str(cow))
        self._stack.callback(replayed.close)
        return Replayed(replayed, replace(volume, start=place.start), done.notes)

    def read(self, disks: Sequence[Disk], volume: Volume, options: str, journal: Volume | None) -> Filesystem:
        """A file system that this kernel reads, in the session that assembled it or in one of its own.

        Args:
            journal: on a device of its own.

        Raises:
            FilesystemError: the kernel refuses it, or does not start.
            ProcessError: user-mode Linux is not installed or cannot run here.
        """
        type, disk = volume.content.type, disks[volume.disk]
        if isinstance(disk, DeviceDisk) and not volume.start:
            return UmlFilesystem(disk.session, disk.device.path, type, options)
        parts = [self._ranges.of(disks, volume)]
        if journal is not None:
            parts.append(self._ranges.of(disks, journal))
            options = "journal_path=/dev/loop1"
        modules = FILESYSTEM_MODULES.get(type, ())
        session = Session(parts, self._scratch, modules=modules, limits=self._session)
        self._stack.callback(session.close)
        return UmlFilesystem(session, "/dev/loop0", type, options)
