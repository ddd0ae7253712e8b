"""When a VM must not get a snapshot: making one would fail, be of no use, or harm. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from orchestrator.vsphere.values import DatastoreInfo, DiskDevice, Refusal

HOST_QUIESCE_MINUTES = 15
"""An ESXi host's own limit, where no other is asked for; ``CreateSnapshotEx_Task`` takes 5 to 240."""


@dataclass(frozen=True, slots=True)
class SnapshotLimits:
    """Where a snapshot begins to be a danger to production."""

    depth: int = 8
    """Snapshots in a chain with which a VM still gets one more; vSphere allows 32 and advises 2 to 3."""
    free_fraction: float = 0.1
    """Part of a datastore that must be free: what the guest writes while its snapshot is open goes there."""
    quiesce_minutes: int = HOST_QUIESCE_MINUTES
    """How long a guest may take until its file systems are frozen and its scripts have run; 5 to 240."""
    slack_seconds: float = 300.0
    """What making a snapshot may take beyond that."""

    @property
    def making_seconds(self) -> float:
        """After which a snapshot that is still being made is given up."""
        return self.quiesce_minutes * 60 + self.slack_seconds


@dataclass(frozen=True, slots=True)
class SnapshotFacts:
    """What decides whether a VM may get a snapshot, at this moment."""

    template: bool
    connected: bool
    disks: tuple[DiskDevice, ...]
    depth: int
    """Snapshots on the longest chain."""
    consolidation_needed: bool
    fault_tolerance: bool
    managed_by: str
    datastores: tuple[DatastoreInfo, ...]
    """Those that the VM writes to."""


def refusal(facts: SnapshotFacts, limits: SnapshotLimits) -> tuple[Refusal, str] | None:
    """The first reason against a snapshot, with its details for a person; None when there is none."""
    if facts.template:
        return Refusal.TEMPLATE, "it is a template"
    if not facts.connected:
        return Refusal.NOT_CONNECTED, "its host does not answer, or its files are not accessible"
    if facts.managed_by:
        return Refusal.MANAGED, f"it belongs to {facts.managed_by}"
    if facts.fault_tolerance:
        return Refusal.FAULT_TOLERANCE, "Fault Tolerance protects it"
    if found := disks_refusal(facts.disks):
        return found
    if facts.consolidation_needed:
        return Refusal.CONSOLIDATION_NEEDED, "its disks need consolidation already"
    if facts.depth >= limits.depth:
        return (
            Refusal.CHAIN_TOO_DEEP,
            f"it has a chain of {facts.depth} snapshots; the limit is {limits.depth}",
        )
    return datastores_refusal(facts.datastores, limits)


def disks_refusal(disks: Iterable[DiskDevice]) -> tuple[Refusal, str] | None:
    """The first disk that no snapshot covers, or none at all."""
    listed = tuple(disks)
    if not listed:
        return Refusal.NO_DISK, "it has no disk"
    for disk in listed:
        what = f"{disk.label or disk.key} {disk.file}".strip()
        if disk.physical_rdm:
            return Refusal.PHYSICAL_RDM, f"{what} is a physical raw device"
        if disk.mode.startswith("independent"):
            return Refusal.INDEPENDENT_DISK, f"{what} is {disk.mode}"
        if disk.sharing:
            return Refusal.SHARED_DISK, f"{what} is shared with other VMs"
    return None


def datastores_refusal(
    datastores: Iterable[DatastoreInfo], limits: SnapshotLimits
) -> tuple[Refusal, str] | None:
    """The first datastore without room for what the guest writes while its snapshot is open."""
    for store in datastores:
        if not store.accessible:
            return Refusal.NOT_CONNECTED, f"datastore {store.name} is not accessible"
        if store.free < limits.free_fraction * store.capacity:
            free = store.free / store.capacity
            return (
                Refusal.DATASTORE_FULL,
                f"datastore {store.name} has {free:.1%} free; the limit is {limits.free_fraction:.0%}",
            )
    return None
