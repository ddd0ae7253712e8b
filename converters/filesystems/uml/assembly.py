"""What a guest's disks hold of arrays and volume groups, assembled by user-mode Linux."""

from __future__ import annotations

import errno
import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from converters.disks import Disk
from converters.disks.raw import RawDisk
from converters.errors import FilesystemError, ScratchFullError
from converters.filesystems.uml.device import DeviceDisk
from converters.filesystems.uml.recovery import copy_volume
from converters.filesystems.uml.session import Range, Session
from converters.volumes.base import Volume

log = logging.getLogger(__name__)


class Ranges:
    """Volumes as files that user-mode Linux takes: where they lie, or a copy in scratch for as long."""

    def __init__(self, scratch: Path, stack: ExitStack) -> None:
        self._scratch = scratch
        self._stack = stack

    def of(self, disks: Sequence[Disk], volume: Volume) -> Range:
        """The range of ``volume``, which is on one of ``disks``.

        Raises:
            DiskError: the disk cannot be read.
            ScratchFullError: no space for a copy.
        """
        disk = disks[volume.disk]
        if isinstance(disk, RawDisk):
            return Range(Path(disk.path), volume.start, volume.size)
        copy = self._scratch / f"volume-{volume.disk}-{volume.start}.raw"
        try:
            copy_volume(disk, volume.start, volume.size, copy)
        except OSError as error:
            copy.unlink(missing_ok=True)
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise ScratchFullError(f"the scratch folder {self._scratch} is full: {error}") from error
            raise FilesystemError(f"the scratch folder {self._scratch} does not do: {error}") from error
        self._stack.callback(copy.unlink, missing_ok=True)
        return Range(copy, volume.start, volume.size)


class KernelAssembly:
    """Assembles with a session that lives as long as ``stack``; ``converters.volumes.assembly.Beyond``."""

    def __init__(self, ranges: Ranges, scratch: Path, stack: ExitStack) -> None:
        self._ranges = ranges
        self._scratch = scratch
        self._stack = stack

    def __call__(self, disks: Sequence[Disk], members: Sequence[Volume]) -> Mapping[str, Disk]:
        """Volumes by name.

        Raises:
            ConvertError: user-mode Linux does not run here, or assembles nothing.
        """
        ranges = [self._ranges.of(disks, member) for member in members]
        session = Session(ranges, self._scratch, assembles=True)
        self._stack.callback(session.close)
        found = session.assemble()
        log.info("user-mode Linux assembled %s", ", ".join(device.name for device in found))
        return {_key(device.name): DeviceDisk(session, device) for device in found}


def _key(name: str) -> str:
    return f"md:{name.removeprefix('md:').replace(':', '')}" if name.startswith("md:") else name
