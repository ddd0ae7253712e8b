"""A VM's device list as disks: what each is backed by, and what stands in the way of a snapshot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pyVmomi import vim

from orchestrator.vsphere.values import DiskDevice

_KIB = 1024
_Disk = vim.vm.device.VirtualDisk
_SCSI = vim.vm.device.VirtualSCSIController
_Controller = vim.vm.device.VirtualController
NEEDED = (_Disk, _SCSI)
"""Types of the devices that ``disks`` looks at: 2 of the dozen that a VM has."""


def disks(devices: Sequence[Any]) -> tuple[DiskDevice, ...]:
    """The virtual disks among a VM's devices (``config.hardware.device``), in the order of their keys."""
    shared_buses = {
        device.key
        for device in devices
        if isinstance(device, _SCSI) and device.sharedBus not in (None, _SCSI.Sharing.noSharing)
    }
    found = [_disk(device, shared_buses) for device in devices if isinstance(device, _Disk)]
    return tuple(sorted(found, key=lambda disk: disk.key))


def _disk(device: Any, shared_buses: set[int]) -> DiskDevice:
    backing = device.backing
    # Absent members are None; which exist depends on the backing: flat, SeSparse, RDM, partitioned RDM.
    sharing = getattr(backing, "sharing", None)
    mode = getattr(backing, "compatibilityMode", None)
    raw_device = isinstance(backing, _Disk.RawDiskVer2BackingInfo)
    return DiskDevice(
        key=device.key,
        label=device.deviceInfo.label if device.deviceInfo else "",
        capacity=device.capacityInBytes or (device.capacityInKB or 0) * _KIB,
        file=getattr(backing, "fileName", None) or "",
        mode=getattr(backing, "diskMode", None) or "persistent",
        physical_rdm=mode == "physicalMode" or raw_device,
        sharing=sharing == "sharingMultiWriter" or device.controllerKey in shared_buses,
        parents=tuple(_parents(backing)),
    )


def _parents(backing: Any) -> Iterator[str]:
    while (backing := getattr(backing, "parent", None)) is not None:
        yield backing.fileName or ""


def places(devices: Sequence[Any]) -> dict[str, int]:
    """``<controller type><bus>:<unit>`` → the disk's key; device URLs end with the former."""
    controllers = {device.key: device for device in devices if isinstance(device, _Controller)}
    found = {}
    for device in devices:
        if (
            isinstance(device, _Disk)
            and (controller := controllers.get(device.controllerKey or 0)) is not None
        ):
            kind = type(controller)._wsdlName
            found[f"{kind}{controller.busNumber}:{device.unitNumber}"] = device.key
    return found
