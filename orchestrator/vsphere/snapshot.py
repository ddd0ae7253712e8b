"""Making, finding and removing our snapshots, and never touching another."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import tenacity
from pyVmomi import vim, vmodl

from orchestrator.errors import (
    GoneError,
    QuiesceError,
    RemovalError,
    SnapshotError,
    SnapshotRefusedError,
    VCenterBusyError,
)
from orchestrator.vsphere import devices, holders, inventory, names, snapshot_tree, tasks
from orchestrator.vsphere.faults import BUSY, describe, translated
from orchestrator.vsphere.marker import Marker, format_marker, parse_marker, same_job
from orchestrator.vsphere.properties import Row, below, of, one
from orchestrator.vsphere.rules import SnapshotFacts, SnapshotLimits, refusal
from orchestrator.vsphere.session import Session
from orchestrator.vsphere.stub import UnreachableError
from orchestrator.vsphere.values import QuiescePolicy, Removal, SnapshotRef

log = logging.getLogger(__name__)
T = TypeVar("T")

PACE = 2.0
"""Seconds before a removal is tried again when something else holds the VM; grows to ``_SLOWEST``."""
_SLOWEST = 60.0
_UNREACHABLE = 60
_QUIESCE_FAULTS = (
    vim.fault.ApplicationQuiesceFault,
    vim.fault.FilesystemQuiesceFault,
    vim.fault.ToolsUnavailable,
)
_FACTS = (
    "name",
    "snapshot",
    "config.template",
    "config.managedBy",
    "config.hardware.device",
    "runtime.powerState",
    "runtime.connectionState",
    "runtime.consolidationNeeded",
    "runtime.faultToleranceState",
    "guest.toolsRunningStatus",
    "datastore",
    "recentTask",
    "runtime.host",
)


def create(
    session: Session, vm: str, marker: Marker, policy: QuiescePolicy, limits: SnapshotLimits | None = None
) -> SnapshotRef:
    """The job's snapshot on the VM with moref ``vm``: found when an earlier attempt made it, else made.

    Raises ``PutOffError`` when a backup or another task holds the VM, ``GoneError`` when there is none,
    ``SnapshotRefusedError`` with the reason, ``QuiesceError``, ``SnapshotError`` or ``VCenterBusyError``.
    """
    with translated(f"snapshot of {vm}"):
        row = _existing(session, vm, _FACTS)
        name = names.decode(row.get("name", vm))
        if found := _own(row, marker):
            log.info("snapshot %s of %s is there from an earlier attempt", marker.name, name)
            return snapshot_tree.reference(found, name)
        holders.require_free(session, row)
        if reason := refusal(_facts(session, row), limits or SnapshotLimits()):
            raise SnapshotRefusedError(f"no snapshot of {name}: {reason[1]}", reason=reason[0])
        quiesce, note = _quiesce(row, name, policy)
        note = _make(session, vm, name, marker, policy, quiesce) or note
        made = _own(_existing(session, vm, ("snapshot",)), marker)
        if made is None:
            raise SnapshotError(f"vCenter reports a snapshot of {name} as made, and does not list it")
        return snapshot_tree.reference(made, name, note)


def remove(
    session: Session, snapshot: SnapshotRef, pace: float = PACE, patience: float = math.inf
) -> Removal:
    """Remove our snapshot, and consolidate the disks when vCenter says that they need it.

    Waits ``patience`` seconds for what else holds the VM, and for a removal that has begun however long it
    takes; a vCenter that cannot be reached for about an hour ends it.
    """
    marker = parse_marker(snapshot.description)
    subject = f"snapshot {snapshot.name} of {snapshot.vm_name or snapshot.vm}"
    if marker is None:
        raise RemovalError(
            f"{subject} is not ours: it stays", "its description holds no marker of orchestrate"
        )
    begun = time.monotonic()
    with _removal_errors(
        f"{subject} is not removed", "remove it in the vSphere client (Snapshots > Manage Snapshots)"
    ):
        gone = _patiently(lambda: _remove_once(session, snapshot.vm, marker), pace, patience)
    with _removal_errors(
        f"{subject} is removed, and the VM's disks still need consolidation",
        "consolidate them in the vSphere client (Snapshots > Consolidate)",
    ):
        mended = _patiently(lambda: _consolidate_once(session, snapshot.vm), pace, patience)
    return Removal(gone, mended, time.monotonic() - begun)


def own(session: Session, datacenter: str | None = None) -> tuple[SnapshotRef, ...]:
    """All snapshots that carry a marker of this product, oldest first; of every datacenter for None."""
    root = session.content.rootFolder
    if datacenter is not None:
        moref, _ = names.find_datacenter(inventory.datacenter_tree(session), datacenter)
        root = session.managed(vim.Datacenter, moref)
    with translated("listing snapshots"):
        found = below(session, root, {vim.VirtualMachine: ("name", "snapshot")}, _references)
    return tuple(sorted((ref for refs in found for ref in refs), key=lambda ref: (ref.created, ref.moref)))


@contextlib.contextmanager
def _removal_errors(message: str, hint: str) -> Iterator[None]:
    try:
        yield
    except (vmodl.MethodFault, VCenterBusyError) as error:
        raise RemovalError(f"{message}: {describe(error)}", hint) from error


def _references(row: Row) -> list[SnapshotRef]:
    return list(snapshot_tree.own(row.get("snapshot"), names.decode(row.get("name", row.moref))))


def _existing(session: Session, vm: str, paths: tuple[str, ...]) -> Row:
    row = one(session, session.managed(vim.VirtualMachine, vm), paths)
    if row is None:
        raise GoneError(f"the VM {vm} was deleted or unregistered during the run")
    return row


def _own(row: Row | None, marker: Marker) -> Any:
    """The node of the tree that is this job's; None when there is none."""
    for node in snapshot_tree.nodes(row.get("snapshot") if row else None):
        found = parse_marker(node.description or "")
        if node.name == marker.name and found is not None and same_job(found, marker):
            return node
    return None


def _facts(session: Session, row: Row) -> SnapshotFacts:
    managed_by = row.get("config.managedBy")
    paths = {vim.Datastore: inventory.SURROUNDINGS[vim.Datastore]}
    return SnapshotFacts(
        template=row.get("config.template", False),
        connected=row.get("runtime.connectionState") == "connected",
        disks=devices.disks(row.get("config.hardware.device", ())),
        depth=snapshot_tree.depth(row.get("snapshot")),
        consolidation_needed=row.get("runtime.consolidationNeeded", False),
        fault_tolerance=row.get("runtime.faultToleranceState") not in inventory.NO_FT,
        managed_by=managed_by.extensionKey if managed_by else "",
        datastores=tuple(of(session, row.get("datastore", ()), paths, inventory.datastore)),
    )


def _quiesce(row: Row, name: str, policy: QuiescePolicy) -> tuple[bool, str]:
    """Whether to quiesce, and what a person should know about it."""
    running = row.get("runtime.powerState") == "poweredOn"
    tools = row.get("guest.toolsRunningStatus") in inventory.TOOLS_RUNNING
    match policy:
        case QuiescePolicy.NEVER:
            return False, ""
        case _ if tools and running:
            return True, ""
        case _ if row.get("runtime.powerState") == "poweredOff":
            return False, ""
        case QuiescePolicy.REQUIRE:
            raise QuiesceError(
                f"{name} cannot be quiesced: VMware Tools do not run",
                "start open-vm-tools in the guest, power it off, or use --quiesce prefer",
            )
        case QuiescePolicy.PREFER:
            return False, "crash-consistent: VMware Tools do not run"


def _make(session: Session, vm: str, name: str, marker: Marker, policy: QuiescePolicy, quiesce: bool) -> str:
    """Make the snapshot; the note to it when the guest could not be quiesced after all."""
    target = session.managed(vim.VirtualMachine, vm)
    try:
        tasks.wait(session, target.CreateSnapshot_Task(marker.name, format_marker(marker), False, quiesce))
    except (*BUSY, *holders.HELD) as fault:
        raise holders.busy(fault, f"snapshot of {name}") from fault
    except vmodl.MethodFault as fault:
        if not (quiesce and _is_quiesce(fault)):
            raise SnapshotError(f"snapshot of {name}: {describe(fault)}") from fault
        if policy is QuiescePolicy.REQUIRE:
            raise QuiesceError(f"{name} cannot be quiesced: {describe(fault)}") from fault
        log.warning("%s cannot be quiesced, so its snapshot is crash-consistent: %s", name, describe(fault))
        _make(session, vm, name, marker, policy, quiesce=False)
        return f"crash-consistent: {describe(fault)}"
    return ""


def _is_quiesce(fault: Exception) -> bool:
    # Some hosts answer a general fault whose text alone says it ("msg.snapshot.error-QUIESCINGERROR").
    return isinstance(fault, _QUIESCE_FAULTS) or "quiesc" in describe(fault).lower()


def _remove_once(session: Session, vm: str, marker: Marker) -> bool:
    """Remove the snapshot if it is there; whether it was gone already."""
    target = session.managed(vim.VirtualMachine, vm)
    node = _own(one(session, target, ("snapshot",)), marker)
    if node is None:
        return True
    try:
        tasks.wait(session, node.snapshot.RemoveSnapshot_Task(False, True))
    except vmodl.MethodFault:
        # The snapshot can be gone and its disks left to consolidate, which comes next.
        if _own(one(session, target, ("snapshot",)), marker) is not None:
            raise
    return False


def _consolidate_once(session: Session, vm: str) -> bool:
    """Consolidate the VM's disks if vCenter says that they need it; whether they did."""
    target = session.managed(vim.VirtualMachine, vm)
    row = one(session, target, ("runtime.consolidationNeeded",))
    if row is None or not row.get("runtime.consolidationNeeded"):
        return False
    tasks.wait(session, target.ConsolidateVMDisks_Task())
    return True


def _patiently(action: Callable[[], T], pace: float, patience: float) -> T:
    """Repeat ``action`` while something else holds the VM, for ``patience`` seconds at most."""
    unreachable = 0

    def lasts_too_long(state: tenacity.RetryCallState) -> bool:
        nonlocal unreachable
        failed = state.outcome.exception() if state.outcome else None
        unreachable = unreachable + 1 if isinstance(failed, UnreachableError) else 0
        return unreachable >= _UNREACHABLE or (state.seconds_since_start or 0.0) >= patience

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type((*BUSY, VCenterBusyError)),
        stop=lasts_too_long,
        wait=tenacity.wait_exponential(multiplier=pace, max=min(_SLOWEST, patience)),
        before_sleep=tenacity.before_sleep_log(log, logging.WARNING),
        reraise=True,
    )(action)
