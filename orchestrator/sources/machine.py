"""A machine that files describe, in the words that the run has for a VM of vCenter's inventory."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from converters.descriptors.found import Descriptor, FoundDisk, FoundMachine
from converters.descriptors.machine import Share
from converters.reader.failures import printable
from orchestrator.fleet.files import FileMark
from orchestrator.vsphere.values import Allocation, DiskDevice, RestartPriority, VirtualMachine


def virtual_machine(found: FoundMachine, moref: str, root: Path, marks: Sequence[FileMark]) -> VirtualMachine:
    """The machine as a VM.

    Args:
        moref: what tells it from all others below ``root``.
        marks: the states of its files.
    """
    machine = found.machine
    folder = Path(found.path).parent.relative_to(root)
    windows = not machine.guest_os and "windows" in machine.guest_name.lower()
    return VirtualMachine(
        moref=moref,
        name=machine.name,
        folder="" if folder == Path() else str(folder),
        datacenter=str(root),
        instance_uuid=machine.uuid,
        power_state="suspended" if machine.suspended else "poweredOff",
        connection_state="connected",
        guest_id=machine.guest_os,
        guest_family="windowsGuest" if windows else "",
        guest_full_name=machine.guest_name,
        template=found.descriptor is Descriptor.TEMPLATE,
        tools_running=False,
        host=None,
        datastores=(),
        cpus=machine.cpus,
        memory_mib=machine.memory_mib,
        cpu=_allocation(machine.cpu),
        memory=_allocation(machine.memory),
        restart_priority=RestartPriority(machine.restart_priority),
        disks=tuple(_device(number, disk) for number, disk in enumerate(found.disks, 1)),
        used_bytes=sum(mark.size for mark in marks),
        contents=_word(root, marks),
        annotation=machine.annotation,
    )


def _device(number: int, disk: FoundDisk) -> DiskDevice:
    described = disk.described
    return DiskDevice(
        key=described.address.key,
        label=f"Hard disk {number}",
        capacity=disk.capacity,
        file=printable(described.name or next((part.path for part in described.parts), "")),
        mode=described.mode,
    )


def _allocation(share: Share) -> Allocation:
    return Allocation(share.reservation, share.limit, share.shares)


def _word(root: Path, marks: Sequence[FileMark]) -> str:
    """One word for the state of all files: another word, other contents."""
    told = sorted(f"{Path(mark.path).relative_to(root)}\0{mark.size}\0{mark.modified}" for mark in marks)
    return hashlib.sha256("\n".join(told).encode("utf-8", "surrogateescape")).hexdigest()
