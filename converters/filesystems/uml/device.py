"""A volume that user-mode Linux assembled, as a ``Disk``: readers in process take it like any other."""

from __future__ import annotations

import threading

from converters.disks.base import Disk
from converters.errors import DiskError, FilesystemError
from converters.filesystems.uml import wire
from converters.filesystems.uml.errors import RecoveryError
from converters.filesystems.uml.recovery import OPTIONS
from converters.filesystems.uml.session import Device, Session


class DeviceDisk(Disk):
    """A device of a session, which others share and its owner closes."""

    def __init__(self, session: Session, device: Device) -> None:
        self.session = session
        self.device = device
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """Size in bytes."""
        return self.device.size

    def pread(self, length: int, offset: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``; shorter only at the end of the device.

        Raises:
            DiskError: the machine cannot read them.
        """
        end = min(offset + length, self.size)
        parts = []
        with self._lock:
            while offset < end:
                wanted = min(end - offset, wire.LARGEST_READ)
                try:
                    part = self.session.read(self.device.path.encode(), offset, wanted)
                except FilesystemError as error:
                    raise DiskError(error.message) from error
                if len(part) != wanted:
                    raise DiskError(f"{self.device.name} ends at byte {offset + len(part)}")
                parts.append(part)
                offset += wanted
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def replay(self, type: str) -> None:
        """Replay the journal of the file system on the whole device: what is read then has it in place.

        Raises:
            RecoveryError: the kernel does not replay it, or knows no such file system.
        """
        if type not in OPTIONS:
            raise RecoveryError(f"user-mode Linux here does not recover {type or 'unknown content'}")
        with self._lock:
            self.session.replay(self.device.path, *OPTIONS[type])

    def close(self) -> None:
        """The machine is its owner's to end."""
