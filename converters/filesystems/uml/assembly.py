"""What a guest's disks hold of arrays and volume groups, assembled by user-mode Linux."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from converters.disks import Disk
from converters.filesystems.uml.device import DeviceDisk
from converters.filesystems.uml.ranges import Ranges
from converters.filesystems.uml.session import Session, SessionLimits
from converters.volumes.base import Volume

log = logging.getLogger(__name__)


class KernelAssembly:
    """Assembles with a session that lives as long as ``stack``; ``converters.volumes.assembly.Beyond``."""

    def __init__(self, ranges: Ranges, scratch: Path, stack: ExitStack, limits: SessionLimits) -> None:
        self._ranges = ranges
        self._scratch = scratch
        self._stack = stack
        self._limits = limits

    def __call__(self, disks: Sequence[Disk], members: Sequence[Volume]) -> Mapping[str, Disk]:
        """Volumes by name.

        Raises:
            ConvertError: user-mode Linux does not run here, or assembles nothing.
        """
        ranges = [self._ranges.of(disks, member) for member in members]
        session = Session(ranges, self._scratch, assembles=True, limits=self._limits)
        self._stack.callback(session.close)
        found = session.assemble()
        log.info("user-mode Linux assembled %s", ", ".join(device.name for device in found))
        return {_key(device.name): DeviceDisk(session, device) for device in found}


def _key(name: str) -> str:
    return f"md:{name.removeprefix('md:').replace(':', '')}" if name.startswith("md:") else name
