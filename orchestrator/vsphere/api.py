"""What the rest of the orchestrator may ask of a vCenter: signatures and values only, so no pyvmomi here.

``orchestrator.vsphere.client.VCenter`` is the implementation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from orchestrator.vsphere.marker import Marker
from orchestrator.vsphere.values import (
    About,
    CheckResult,
    DatastoreInfo,
    Inventory,
    Lease,
    QuiescePolicy,
    Removal,
    SnapshotRef,
    VirtualMachine,
    Whereabouts,
)


class VCenterApi(Protocol):
    """One logged-in vCenter. Every method may be called from any thread, and logs in again by itself.

    Any of them raises ``VCenterBusyError`` (retryable) when vCenter is away or answers a fault that passes by
    itself, ``ConnectError`` when it refuses the credentials, and ``VCenterError`` for another fault.
    """

    def about(self) -> About:
        """Name, version and identity of the vCenter."""
        ...

    def inventory(self, datacenter: str) -> Inventory:
        """All VMs, hosts and datastores of a datacenter, without the VMs' disks; templates, broken VMs too.

        ``datacenter`` is a name, or a path (``/folder/DC``) when nested folders repeat the name.
        Raises ``NotFoundError``, which names the datacenters there are.
        """
        ...

    def describe(self, vms: Iterable[VirtualMachine]) -> tuple[VirtualMachine, ...]:
        """The same VMs, in the same order, each with its ``disks``; those that are gone are left out.

        Of their ``datastores`` those stay that they write to, so not those of mounted ISO images.
        """
        ...

    def whereabouts(self, vms: Iterable[str]) -> Whereabouts:
        """Hosts of the VMs with these morefs, and the datastores that they write to, now.

        Two calls for up to 500 VMs, and a third for those on several datastores.
        """
        ...

    def create_snapshot(self, vm: str, marker: Marker, quiesce: QuiescePolicy) -> SnapshotRef:
        """The snapshot of this job on the VM with moref ``vm``; or found when an earlier attempt made it.

        Without memory; quiesced when the policy says so and VMware Tools run. ``SnapshotRef.note`` tells when
        ``QuiescePolicy.PREFER`` ended in a crash-consistent one.
        Raises ``SnapshotRefusedError`` (its ``reason`` says why) before anything is changed, ``QuiesceError``
        when policy requires what the guest cannot do, else ``SnapshotError``.
        """
        ...

    def remove_snapshot(self, snapshot: SnapshotRef, patience: float = math.inf) -> Removal:
        """Remove the snapshot and consolidate the VM's disks if that is needed; waits as long as it takes.

        ``patience`` is how many seconds to wait for another task that holds the VM, before it is begun.
        Children and other snapshots stay. A snapshot that is gone already counts as removed.
        Raises ``RemovalError`` when vCenter refuses for a minute or is away for an hour; also when the
        snapshot does not hold our marker, or was renamed.
        """
        ...

    def withdraw_snapshot(
        self,
        vm: str,
        marker: Marker,
        certain: bool = True,
        patience: float = math.inf,
        *,
        was_made: bool = False,
        found: Callable[[str], None] = lambda moref: None,
    ) -> Removal:
        """Remove the job's snapshot where ``create_snapshot`` failed, once nothing is at work that makes it.

        ``certain`` tells that vCenter has answered: else a snapshot that nobody knows of is waited for, too.
        ``patience`` and ``RemovalError`` as in ``remove_snapshot``. ``found`` is called with the moref of the
        snapshot before it is removed. Only where there is one, or ``was_made`` tells that there was, are the
        VM's disks consolidated.
        """
        ...

    def own_snapshots(self, datacenter: str | None = None) -> tuple[SnapshotRef, ...]:
        """Every snapshot with a marker of this product, whichever ledger made it; None: everywhere.

        Which of them a sweep may remove is ``marker.may_sweep``'s to decide.
        """
        ...

    def open_lease(self, snapshot: SnapshotRef) -> Lease:
        """An export lease on the snapshot's disks, ready to download, and kept alive until it is closed.

        It ends by itself, and ``report_progress`` then raises, when no byte arrives for ``LeaseLimits.idle``
        seconds or after ``LeaseLimits.total``. Raises ``LeaseError``.
        """
        ...

    def report_progress(self, lease: Lease, received: int) -> None:
        """``received`` bytes of all the lease's disks have arrived so far. Cheap: no call to vCenter.

        Raises ``LeaseError`` (retryable) when the lease has ended.
        """
        ...

    def complete_lease(self, lease: Lease) -> None:
        """Everything was downloaded. Harmless on a lease that is gone."""
        ...

    def abort_lease(self, lease: Lease, reason: str = "") -> str:
        """The download ended early. Harmless on a lease that is gone.

        Gives why it was over before that, as far as is known; empty where it was not.
        """
        ...

    def current_time(self) -> float:
        """Seconds since 1970-01-01 UTC by vCenter's clock, which snapshots' ``created`` follows."""
        ...

    def check(self, datacenter: str, vms: Sequence[VirtualMachine] = ()) -> tuple[CheckResult, ...]:
        """Whether a run would get what it needs: version, clock, privileges by name, room on the datastores.

        ``vms`` are those that would be converted: privileges are checked on each of them.
        """
        ...

    def privileges(
        self, vms: Sequence[VirtualMachine], datastores: Iterable[DatastoreInfo]
    ) -> tuple[CheckResult, ...]:
        """Each privilege that converting the VMs takes, by name: held on all of them, or where not.

        One call for 1,000 VMs. ``datastores`` are those of the inventory.
        """
        ...

    def leave(self, seconds: float) -> None:
        """As ``close``, as far as that goes in so many seconds: the process is about to end."""
        ...

    def close(self) -> None:
        """Abort the leases that are still open, log out and disconnect. Harmless when done twice."""
        ...
