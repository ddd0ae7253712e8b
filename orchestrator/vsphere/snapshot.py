"""Our snapshots: looked for first, made when nothing speaks against it, and then verified."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

from pyVmomi import vim, vmodl

from orchestrator.errors import GoneError, SnapshotError, SnapshotRefusedError
from orchestrator.vsphere import (
    devices,
    frozen,
    holders,
    inventory,
    making,
    names,
    quiesce,
    snapshot_tree,
    storage,
)
from orchestrator.vsphere.faults import BUSY, describe, translated
from orchestrator.vsphere.marker import Marker
from orchestrator.vsphere.properties import Row, below, of, one
from orchestrator.vsphere.rules import SnapshotFacts, SnapshotLimits, refusal
from orchestrator.vsphere.session import Session
from orchestrator.vsphere.values import DatastoreInfo, DiskDevice, QuiescePolicy, SnapshotRef

log = logging.getLogger(__name__)

VERIFY_SECONDS = 10.0
"""For vCenter to show what a host has done: it hears of it a little later."""
_UNLISTED = "vCenter does not list it"
_DEVICES = "config.hardware.device"
_FACTS = (
    *holders.FACTS,
    *quiesce.FACTS,
    "config.template",
    "config.managedBy",
    _DEVICES,
    "runtime.consolidationNeeded",
    "runtime.faultToleranceState",
    "datastore",
    *storage.FOLDERS,
)


class UnlistedError(SnapshotError):
    """vCenter says that the snapshot is made, and does not list it yet."""

    kind = "snapshot-unlisted"
    retryable = True
    uncertain = True
    default_hint = "it is waited for and removed, and the VM tried again"


def create(
    session: Session, vm: str, marker: Marker, policy: QuiescePolicy, limits: SnapshotLimits | None = None
) -> SnapshotRef:
    """The job's snapshot on the VM with moref ``vm``: found when an earlier attempt made it, else made.

    It is listed under its name and holds the VM's disks. Raises ``PutOffError`` when a backup or another task
    holds the VM, ``GoneError`` when there is none, ``SnapshotRefusedError`` with the reason,
    ``QuiesceError``, ``SnapshotError`` or ``VCenterBusyError``; after the last three ``removal.withdraw`` is
    due.
    """
    limits = limits or SnapshotLimits()
    with translated(f"snapshot of {vm}"):
        row = _existing(session, vm)
        name = names.decode(row.get("name", vm))
        note = ""
        if found := snapshot_tree.of_job(row.get("snapshot"), marker):
            log.info("snapshot %s of %s is there from an earlier attempt", marker.name, name)
            made = found.snapshot
        else:
            holders.require_free(session, row)
            if reason := refusal(_facts(session, row), limits):
                raise SnapshotRefusedError(f"no snapshot of {name}: {reason[1]}", reason=reason[0])
            quiesced, note = quiesce.decide(row, name, policy)
            made, late = _make(making.Order(session, vm, name, marker, limits), policy, quiesced)
            note = late or note
        return _verified(session, vm, made, marker, name, note)


def own(session: Session, datacenter: str | None = None) -> tuple[SnapshotRef, ...]:
    """All snapshots that carry a marker of this product, oldest first; of every datacenter for None."""
    root = session.content.rootFolder
    if datacenter is not None:
        moref, _ = names.find_datacenter(inventory.datacenter_tree(session), datacenter)
        root = session.managed(vim.Datacenter, moref)
    with translated("listing snapshots"):
        found = below(session, root, {vim.VirtualMachine: ("name", "snapshot")}, _references)
    return tuple(sorted((ref for refs in found for ref in refs), key=lambda ref: (ref.created, ref.moref)))


def _references(row: Row) -> list[SnapshotRef]:
    return list(snapshot_tree.own(row.get("snapshot"), names.decode(row.get("name", row.moref))))


def _existing(session: Session, vm: str) -> Row:
    row = one(session, session.managed(vim.VirtualMachine, vm), _FACTS)
    if row is None:
        raise GoneError(f"the VM {vm} was deleted or unregistered during the run")
    return row


def _facts(session: Session, row: Row) -> SnapshotFacts:
    managed_by = row.get("config.managedBy")
    disks = devices.disks(row.get(_DEVICES, ()))
    return SnapshotFacts(
        template=row.get("config.template", False),
        connected=row.get("runtime.connectionState") == "connected",
        disks=disks,
        depth=snapshot_tree.depth(row.get("snapshot")),
        consolidation_needed=row.get("runtime.consolidationNeeded", False),
        fault_tolerance=row.get("runtime.faultToleranceState") not in inventory.NO_FT,
        managed_by=managed_by.extensionKey if managed_by else "",
        datastores=_written(session, row, disks),
    )


def _written(session: Session, row: Row, disks: Sequence[DiskDevice]) -> tuple[DatastoreInfo, ...]:
    """The datastores that need room for the snapshot, as far as the account may read them."""
    paths = {vim.Datastore: inventory.SURROUNDINGS[vim.Datastore]}
    stores = of(session, row.get("datastore", ()), paths, inventory.datastore)
    wanted = storage.written([store.name for store in stores], row, disks)
    return tuple(store for store in stores if store.name in wanted)


def _make(order: making.Order, policy: QuiescePolicy, quiesced: bool) -> tuple[Any, str]:
    """The new snapshot; with a note when the guest could not be quiesced after all."""
    try:
        return making.make(order, quiesced), ""
    except making.SlowGuestError as error:
        cause: Exception = error
        why = error.message
    except vmodl.MethodFault as fault:
        if isinstance(fault, making.UNSURE) and (late := making.late(order)) is not None:
            return late, ""
        if not (quiesced and quiesce.failed(fault)):
            if isinstance(fault, (*BUSY, *holders.HELD, *holders.AWAY)):
                raise holders.busy(fault, f"snapshot of {order.name}") from fault
            raise SnapshotError(f"snapshot of {order.name}: {describe(fault)}") from fault
        cause = fault
        why = describe(fault)
    if policy is QuiescePolicy.REQUIRE:
        raise quiesce.refused(order.name, why) from cause
    log.warning("%s cannot be quiesced, so its snapshot is crash-consistent: %s", order.name, why)
    # A host may say that it failed, and have made it.
    made = making.present(order) or _make(order, policy, False)[0]
    return made, f"crash-consistent: {why}"


def _verified(session: Session, vm: str, made: Any, marker: Marker, name: str, note: str) -> SnapshotRef:
    """The snapshot as a value, once vCenter lists it under our name and shows that it holds the disks."""
    if made is None:
        raise UnlistedError(f"vCenter reports a snapshot of {name} as made, and does not name it")
    deadline = time.monotonic() + VERIFY_SECONDS
    while True:
        rows = _shown(session, vm, made)
        if vm not in rows:
            raise GoneError(f"the VM {name} was deleted or unregistered during the run")
        listed = snapshot_tree.marked(rows[vm].get("snapshot"), marker)
        node = next((one for one in listed if one.snapshot._moId == made._moId), None)
        why = _unfit(node, rows[vm], rows.get(made._moId), marker)
        if not why:
            return snapshot_tree.reference(node, name, note)
        if time.monotonic() >= deadline:
            if why == _UNLISTED:
                raise UnlistedError(f"the snapshot {marker.name} of {name} is made ({made._moId}), and {why}")
            raise SnapshotError(
                f"the snapshot {marker.name} of {name} is of no use: {why}",
                "nothing was read from it; tell whether the VM's storage does snapshots of its own",
            )
        session.pause(1.0)


def _shown(session: Session, vm: str, made: Any) -> dict[str, Row]:
    """VM and snapshot, by moref, in one call."""
    paths = {vim.VirtualMachine: ("snapshot", _DEVICES), vim.vm.Snapshot: (_DEVICES,)}
    objects = (session.managed(vim.VirtualMachine, vm), session.managed(vim.vm.Snapshot, made._moId))
    return {row.moref: row for row in of(session, objects, paths, lambda row: row)}


def _unfit(node: Any, now: Row, then: Row | None, marker: Marker) -> str:
    """What speaks against reading from the snapshot; empty when nothing does."""
    if node is None or then is None or node.name != marker.name:
        return _UNLISTED
    return frozen.loose(now.get(_DEVICES, ()), then.get(_DEVICES, ()))
