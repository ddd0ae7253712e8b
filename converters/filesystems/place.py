"""Where a file system can be, and what people call that."""

from __future__ import annotations

from converters.filesystems.guestfs import ApplianceDevice
from converters.volumes.base import Volume

Place = Volume | ApplianceDevice
"""A range of a disk, or what only the appliance sees."""


def describe(place: Place) -> str:
    """A volume in words: ``disk 0 partition 1``, ``disk 1``, ``/dev/vg/root``."""
    match place:
        case ApplianceDevice(name):
            return name
        case Volume(name=name) if name:
            return name
        case Volume(disk=disk, number=0):
            return f"disk {disk}"
        case Volume(disk=disk, number=number):
            return f"disk {disk} partition {number}"
