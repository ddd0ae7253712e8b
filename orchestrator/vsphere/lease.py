"""Export leases: the right to download a snapshot's disks over NFC, and the URLs to do so."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from pyVmomi import vim, vmodl

from orchestrator.errors import GoneError, LeaseError, OrchestratorError, VCenterBusyError, VCenterError
from orchestrator.vsphere import devices, holders
from orchestrator.vsphere.faults import BUSY, GONE, describe
from orchestrator.vsphere.keeper import BUSY_SECONDS
from orchestrator.vsphere.properties import one
from orchestrator.vsphere.session import Session
from orchestrator.vsphere.values import DiskDevice, Lease, LeaseDisk, SnapshotRef
from orchestrator.vsphere.whereabouts import whereabouts

log = logging.getLogger(__name__)

READY_SECONDS = 180.0
"""How long a lease may take to become ready: vCenter opens the disks on the host meanwhile."""
_BUSY_PAUSE = 2.0
_PAUSE = 0.2
_OVER = (*GONE, vim.fault.InvalidState, vim.fault.Timedout, vim.fault.NotAuthenticated)
"""Faults of a lease that has ended already."""


def open_lease(
    session: Session, snapshot: SnapshotRef, ready: float = READY_SECONDS, patience: float = BUSY_SECONDS
) -> Lease:
    """A lease on the snapshot's disks, ready to download; nothing stays open when it fails.

    Raises ``LeaseError``, ``GoneError`` when the VM is no longer there, and ``PutOffError`` when another task
    holds it for longer than ``patience`` seconds.
    """
    subject = f"export of {snapshot.vm_name or snapshot.vm}"
    source = session.managed(vim.vm.Snapshot, snapshot.moref)
    row = one(session, source, ("config.hardware.device",))
    if row is None:
        raise _without_snapshot(session, snapshot, subject)
    lease = _ask(source, subject, patience)
    try:
        info = _ready(session, lease, subject, ready)
        found = disks(info.deviceUrl, row.get("config.hardware.device", ()), session.settings.host)
        if not found:
            raise LeaseError(f"{subject}: the lease holds no disk")
        placed = whereabouts(session, [snapshot.vm]).placements
        return Lease(
            lease._moId, snapshot.vm, found, info.leaseTimeout, placement=placed[0] if placed else None
        )
    except BaseException:
        abort(session, lease._moId)
        raise


def _ask(source: Any, subject: str, patience: float) -> Any:
    """Ask for the lease, for as long as another task holds the VM and there is patience left."""
    deadline = time.monotonic() + patience
    while True:
        try:
            return source.ExportSnapshot()
        except (*BUSY, *holders.HELD) as fault:
            if time.monotonic() + _BUSY_PAUSE > deadline:
                raise holders.busy(fault, subject) from fault
            log.info("%s waits: %s", subject, describe(fault))
        except vmodl.MethodFault as fault:
            raise LeaseError(f"{subject}: {describe(fault)}") from fault
        time.sleep(_BUSY_PAUSE)


def _without_snapshot(session: Session, snapshot: SnapshotRef, subject: str) -> VCenterError:
    if not whereabouts(session, [snapshot.vm]).placements:
        return GoneError(f"{subject}: the VM was deleted or unregistered during the run")
    return LeaseError(f"{subject}: its snapshot is no longer there")


def progress(session: Session, moref: str, percent: int) -> None:
    """Keep the lease alive. Raises ``LeaseError`` when it has ended, else ``VCenterBusyError``."""
    try:
        _managed(session, moref).HttpNfcLeaseProgress(percent)
    except vmodl.fault.HostCommunication as fault:
        raise VCenterBusyError(f"the host does not answer for the export lease: {describe(fault)}") from fault
    except vmodl.MethodFault as fault:
        raise LeaseError(f"the export lease has ended: {describe(fault)}") from fault


def complete(session: Session, moref: str) -> None:
    """The download is complete. A lease that is gone is logged, no error: the bytes are here."""
    try:
        _managed(session, moref).HttpNfcLeaseComplete()
    except _OVER as fault:
        log.info("the export lease had ended before it was completed: %s", describe(fault))


def abort(session: Session, moref: str, reason: str = "") -> str:
    """End the lease early; one that is gone is left alone, and vCenter away ends it by itself.

    Gives why it had ended before; empty where it had not, or that cannot be asked.
    """
    log.info("an export lease is aborted%s", f": {reason}" if reason else "")
    ended = ""
    try:
        ended = _ending(session, moref)
        # No fault goes with it: pyvmomi copies a fault to send it, and cannot where Dask was imported after
        # pyvmomi's faults (tblib.pickling_support.install copies exceptions in its own way).
        _managed(session, moref).HttpNfcLeaseAbort(None)
    except _OVER as over:
        log.debug("the export lease had ended already: %s", describe(over))
        return ended or describe(over)
    except (vmodl.MethodFault, OrchestratorError) as error:
        log.warning("the export lease could not be aborted, and ends at its time-out: %s", describe(error))
    return ended


def _ending(session: Session, moref: str) -> str:
    """Why a lease is over; empty while it is not."""
    row = one(session, _managed(session, moref), ("state", "error"))
    if row is None:
        return "vCenter does not know it any more"
    error = row.get("error")
    if row.get("state") != "error":
        return ""
    return describe(error) if error else "vCenter gives no reason"


def disks(urls: Sequence[Any], hardware: Sequence[Any], host: str) -> tuple[LeaseDisk, ...]:
    """The disks among a lease's device URLs, with the sizes that the snapshot's device list tells.

    A key is ``/vm-7/ParaVirtualSCSIController0:1``: the controller's type, its bus and the disk's unit. Where
    the keys do not match all disks, the order does: both lists follow the devices.
    """
    wanted = [url for url in urls if url.disk]
    known = devices.disks(hardware)
    by_place = devices.places(hardware)
    matched = [by_place.get(url.key.rpartition("/")[2]) for url in wanted]
    if None in matched or len(set(matched)) != len(wanted):
        if len(known) != len(wanted):
            raise LeaseError(
                f"the lease has {len(wanted)} disks, the snapshot {len(known)}: which is which is unclear"
            )
        matched = [disk.key for disk in known]
    found = {disk.key: disk for disk in known}
    return tuple(
        _disk(url, found[key], host) for url, key in zip(wanted, matched, strict=True) if key is not None
    )


def with_host(url: str, host: str) -> str:
    """The URL with ``host`` in place of ``*``, which stands for the server that was asked."""
    parts = urlsplit(url)
    if parts.hostname != "*":
        return url
    name = f"[{host}]" if ":" in host else host
    return urlunsplit(parts._replace(netloc=parts.netloc.replace("*", name, 1)))


def _disk(url: Any, device: DiskDevice, host: str) -> LeaseDisk:
    return LeaseDisk(
        key=url.key,
        url=with_host(url.url, host),
        thumbprint=url.sslThumbprint or "",
        capacity=device.capacity,
        file_size=url.fileSize or 0,
        device=device.key,
    )


def _ready(session: Session, lease: Any, subject: str, patience: float) -> Any:
    deadline = time.monotonic() + patience
    while True:
        row = one(session, lease, ("state", "error", "info"))
        match row.get("state") if row else None:
            case "ready" if row is not None:
                return row.get("info")
            case "error" if row is not None:
                error = row.get("error")
                if isinstance(error, (*BUSY, *holders.HELD)):
                    raise holders.busy(error, subject)
                raise LeaseError(f"{subject}: {describe(error) if error else 'vCenter gives no reason'}")
            case None | "done":
                raise LeaseError(f"{subject}: the lease ended before it was ready")
        if time.monotonic() > deadline:
            raise LeaseError(f"{subject}: the lease is not ready after {patience:.0f} s")
        time.sleep(_PAUSE)


def _managed(session: Session, moref: str) -> Any:
    return session.managed(vim.HttpNfcLease, moref)
