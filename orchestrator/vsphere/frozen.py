"""Whether a snapshot holds a VM's disks still, by the device lists of both. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyVmomi import vim

_Disk = vim.vm.device.VirtualDisk


def loose(now: Sequence[Any], then: Sequence[Any]) -> str:
    """What is wrong with the first disk that the snapshot does not hold still; empty: it holds them all.

    ``now`` are the VM's devices after the snapshot was made, ``then`` the snapshot's own
    (``config.hardware.device`` of both). With a snapshot the VM goes on to write to another file, or, where
    the storage keeps snapshots itself, to another object of the same name.
    """
    held = {device.key: device for device in then if isinstance(device, _Disk)}
    for device in now:
        if not isinstance(device, _Disk):
            continue
        label = device.deviceInfo.label if device.deviceInfo else f"disk {device.key}"
        if device.key not in held:
            return f"{label} is not in it"
        if _place(device) == _place(held[device.key]):
            return f"the VM goes on to write to {label}, {_place(device)[0]}, that it should hold"
    return ""


def _place(disk: Any) -> tuple[str, str]:
    """File and storage object that a disk is in."""
    backing = disk.backing
    return getattr(backing, "fileName", None) or "", getattr(backing, "backingObjectId", None) or ""
