"""VM values for tests: a plain Linux VM, and what a test changes about it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from orchestrator.vsphere.values import DiskDevice, HostInfo, VirtualMachine

DISK = DiskDevice(2000, "Hard disk 1", 8 << 30, "[ds1] vm/vm.vmdk", "persistent")


def make_vm(name: str = "web-01", **changes: Any) -> VirtualMachine:
    """A connected, powered-on Linux VM with one disk."""
    vm = VirtualMachine(
        moref="vm-1",
        name=name,
        folder="",
        datacenter="DC0",
        instance_uuid="5012-aaaa",
        power_state="poweredOn",
        connection_state="connected",
        guest_id="debian12_64Guest",
        guest_family="linuxGuest",
        guest_full_name="Debian GNU/Linux 12 (64-bit)",
        template=False,
        tools_running=True,
        host=HostInfo("host-1", "esx1", 2400),
        datastores=("ds1",),
        cpus=2,
        memory_mib=2048,
        disks=(DISK,),
        used_bytes=3 << 30,
    )
    return replace(vm, **changes)
