"""What the VMs that are to be converted ask of the workers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from orchestrator.vsphere.values import HostInfo, VirtualMachine


@dataclass(frozen=True, slots=True)
class Needs:
    """What the VMs that would be converted ask of the workers."""

    hosts: Mapping[str, int] = field(default_factory=dict)
    """ESXi hosts that run them, or may come to, and how many of them each runs now."""
    sizes: tuple[int, ...] = ()
    """Bytes on their datastores: the most that their disks take on scratch."""


def needs_of(vms: Collection[VirtualMachine], others: Iterable[HostInfo] = ()) -> Needs:
    """What ``vms`` need; ``others`` are hosts that they may move to meanwhile."""
    running = Counter(vm.host.name for vm in vms if vm.host is not None)
    hosts = {host.name: 0 for host in others if host.connected} | running
    # Disks that are files are read where they lie.
    sizes = tuple(vm.used_bytes for vm in vms if not vm.contents)
    return Needs(dict(sorted(hosts.items())), sizes)
