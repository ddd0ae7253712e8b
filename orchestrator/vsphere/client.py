"""The vCenter that the rest of the orchestrator sees: ``api.VCenterApi`` over one session."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType

from orchestrator.in_place import Transport
from orchestrator.vsphere import check, inventory, making, privileges, removal, whereabouts
from orchestrator.vsphere import lease as leases
from orchestrator.vsphere import snapshot as snapshots
from orchestrator.vsphere.chain import DatastoreReader
from orchestrator.vsphere.faults import translated
from orchestrator.vsphere.keeper import Keeper, LeaseLimits
from orchestrator.vsphere.marker import Marker
from orchestrator.vsphere.rules import SnapshotLimits
from orchestrator.vsphere.session import Session
from orchestrator.vsphere.settings import VCenterSettings
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


class _LeaseCalls:
    def __init__(self, session: Session) -> None:
        self._session = session

    def progress(self, moref: str, percent: int) -> None:
        leases.progress(self._session, moref, percent)

    def abort(self, moref: str, reason: str) -> None:
        leases.abort(self._session, moref, reason)


class VCenter:
    """A logged-in vCenter. Made by ``with VCenter(settings) as vcenter``, or closed with ``close``.

    Methods and their errors: ``orchestrator.vsphere.api.VCenterApi``. Raises ``ConnectError`` when made.
    """

    def __init__(
        self,
        settings: VCenterSettings,
        snapshot_limits: SnapshotLimits | None = None,
        lease_limits: LeaseLimits | None = None,
        transport: Transport = Transport.NFC,
    ) -> None:
        self._transport = transport
        self._limits = snapshot_limits or SnapshotLimits()
        self._session = Session(settings)
        self._session.open()
        self._lease_limits = lease_limits or LeaseLimits()
        self._keeper = Keeper(_LeaseCalls(self._session), self._lease_limits)

    def __enter__(self) -> VCenter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def round_trips(self) -> int:
        """Calls to vCenter so far."""
        return self._session.round_trips

    def about(self) -> About:
        """Name, version and identity of the vCenter."""
        return self._session.about()

    def current_time(self) -> float:
        """Seconds since 1970-01-01 UTC by vCenter's clock."""
        with translated("asking for the time"):
            return self._session.current_time()

    def inventory(self, datacenter: str) -> Inventory:
        """One datacenter, without the VMs' disks."""
        with translated(f"listing {datacenter}"):
            return inventory.read(self._session, datacenter)

    def describe(self, vms: Iterable[VirtualMachine]) -> tuple[VirtualMachine, ...]:
        """The VMs with their disks."""
        with translated("reading the VMs' devices"):
            return inventory.describe(self._session, vms)

    def whereabouts(self, vms: Iterable[str]) -> Whereabouts:
        """Where the VMs are now."""
        with translated("asking where VMs are"):
            return whereabouts.whereabouts(self._session, vms)

    def create_snapshot(self, vm: str, marker: Marker, quiesce: QuiescePolicy) -> SnapshotRef:
        """The job's snapshot, made or found."""
        return snapshots.create(self._session, vm, marker, quiesce, self._limits)

    def remove_snapshot(self, snapshot: SnapshotRef, patience: float = math.inf) -> Removal:
        """Remove it, and consolidate."""
        return removal.remove(self._session, snapshot, patience=patience)

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
        """Remove what a snapshot's making has left."""
        settle = 0.0 if certain else making.APPEAR_SECONDS
        return removal.withdraw(
            self._session, vm, marker, settle=settle, patience=patience, was_made=was_made, found=found
        )

    def own_snapshots(self, datacenter: str | None = None) -> tuple[SnapshotRef, ...]:
        """Every snapshot with a marker of this product."""
        return snapshots.own(self._session, datacenter)

    def open_lease(self, snapshot: SnapshotRef) -> Lease:
        """A lease that is kept alive until it is closed."""
        opened = leases.open_lease(self._session, snapshot, patience=self._lease_limits.busy)
        self._keeper.keep(opened)
        return opened

    def report_progress(self, lease: Lease, received: int) -> None:
        """Bytes of all disks so far."""
        self._keeper.received(lease.moref, received)

    def complete_lease(self, lease: Lease) -> None:
        """The download is complete."""
        if self._keeper.release(lease.moref):
            with translated(f"completing the export of {lease.vm}"):
                leases.complete(self._session, lease.moref)

    def abort_lease(self, lease: Lease, reason: str = "") -> str:
        """The download ended early; gives why the lease was over before that."""
        ended = self._keeper.ended(lease.moref)
        if self._keeper.release(lease.moref):
            ended = leases.abort(self._session, lease.moref, reason)
        return ended

    def datastores(self, connections: int) -> DatastoreReader:
        """Reads snapshots' disks where they lie, to be closed by the caller; reads at one time."""
        return DatastoreReader(self._session, connections)

    def check(self, datacenter: str, vms: Sequence[VirtualMachine] = ()) -> tuple[CheckResult, ...]:
        """The pre-flight check's vCenter part."""
        with translated(f"checking {datacenter}"):
            return check.check(self._session, datacenter, vms, self._limits, self._transport)

    def privileges(
        self, vms: Sequence[VirtualMachine], datastores: Iterable[DatastoreInfo]
    ) -> tuple[CheckResult, ...]:
        """The privileges that converting the VMs takes."""
        with translated("asking for privileges"):
            return privileges.on_vms(self._session, vms, datastores, self._transport)

    def leave(self, seconds: float) -> None:
        """Close within so many seconds, or leave it at that."""
        ending = threading.Thread(target=self.close, name="leaving", daemon=True)
        ending.start()
        ending.join(seconds)

    def close(self) -> None:
        """Abort open leases, log out, disconnect."""
        try:
            self._keeper.close()
        finally:
            self._session.close()
