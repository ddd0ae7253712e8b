"""What a person is told of disks that were left out of an image. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from converters.disks import AbsentDisk, DiskSource
from converters.guest.facts import UnreadMount

_GIB = 1 << 30


def notes(disks: Iterable[DiskSource], unread: Iterable[UnreadMount]) -> tuple[str, ...]:
    """Which disks are missing, and where their data belongs as far as the guest tells, each a sentence."""
    absent = [disk for disk in disks if isinstance(disk, AbsentDisk)]
    if not absent:
        return ()
    return (
        *(
            f"{disk.name} ({disk.capacity / _GIB:.1f} GiB) was left out: its data is not in the image,"
            " and has to be attached as a volume."
            for disk in absent
        ),
        *(f"Volume to attach: {mount.source}, mounted at {mount.path} in the machine." for mount in unread),
    )
