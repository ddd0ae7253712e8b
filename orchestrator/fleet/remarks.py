"""What a person should know of a VM that is converted, by what the inventory says. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from orchestrator.vsphere.backups import LEFTOVER_SECONDS
from orchestrator.vsphere.values import DiskDevice, VirtualMachine

_UNTOLD = "vCenter does not tell this account whether its disks need consolidation"
_GIB = 1 << 30
_HOURS = round(LEFTOVER_SECONDS / 3600)


def left_out(disks: Sequence[DiskDevice], largest: int | None) -> tuple[DiskDevice, ...]:
    """The data disks of more than ``largest`` bytes, which are not downloaded; None: there is no limit.

    The first disk is no data disk, however large it is: the machine starts from it.
    """
    return () if largest is None else tuple(disk for disk in disks[1:] if disk.capacity > largest)


def remarks(vm: VirtualMachine, absent: Sequence[DiskDevice]) -> tuple[str, ...]:
    """Sentences; ``absent`` are the disks that are left out."""
    return (
        *(f"{_label(disk)} ({disk.capacity / _GIB:.1f} GiB) is left out: attach its data" for disk in absent),
        *(
            f"{_label(disk)} is a linked clone of {disk.parents[-1]}, shared with others: the image holds all"
            for disk in vm.disks
            if len(disk.parents) > len(vm.snapshots)
        ),
        *_backup(vm),
        *((_UNTOLD,) if vm.consolidation_needed is None else ()),
    )


def _backup(vm: VirtualMachine) -> tuple[str, ...]:
    if vm.backup is None:
        return ()
    since = datetime.fromtimestamp(vm.backup.created, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return (
        f"{vm.backup.product} has its snapshot {vm.backup.name!r} on it since {since}: it is waited for until"
        f" it is {_HOURS} hours old, and never touched",
    )


def _label(disk: DiskDevice) -> str:
    return disk.label or f"disk {disk.key}"
