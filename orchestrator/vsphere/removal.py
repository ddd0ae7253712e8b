"""Removing our snapshots, and never another: however long it takes, whatever vCenter does meanwhile."""

from __future__ import annotations

import contextlib
import logging
import math
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from pyVmomi import vim, vmodl

from orchestrator.errors import ConnectError, RemovalError, VCenterBusyError
from orchestrator.vsphere import making, snapshot_tree, stuck, tasks
from orchestrator.vsphere.faults import describe
from orchestrator.vsphere.insistence import HiddenError, patiently
from orchestrator.vsphere.marker import Marker, parse_marker
from orchestrator.vsphere.properties import one
from orchestrator.vsphere.session import Session
from orchestrator.vsphere.values import Removal, SnapshotRef

log = logging.getLogger(__name__)

PACE = 2.0
"""Seconds before a removal is tried again at first."""
_LATE_SECONDS = 10.0
"""For vCenter to take a snapshot off the tree whose removal has succeeded: it hears of it a little later."""
_LATE_PAUSE = 0.1
"""Seconds before it is looked for first; doubles each time."""
_CONNECTION = "runtime.connectionState"
_NEEDED = "runtime.consolidationNeeded"
_UNTOLD = (
    "vCenter does not tell this account whether the VM's disks need consolidation: "
    "look under Snapshots in the vSphere client"
)
_owed: weakref.WeakKeyDictionary[Session, set[str]] = weakref.WeakKeyDictionary()
"""VMs, by moref, that had a snapshot of ours, and whose disks were not found merged since; of no others are
disks consolidated. It outlives a call: once the snapshot is gone, a call that is made again sees none."""


class KeptError(RemovalError):
    """The snapshot is not ours to remove."""

    retryable = False


def remove(
    session: Session, snapshot: SnapshotRef, pace: float = PACE, patience: float = math.inf
) -> Removal:
    """Remove our snapshot, and consolidate the disks when vCenter says that they need it.

    Waits ``patience`` seconds for another task that holds the VM, and for a removal that has begun however
    long it takes. Raises ``RemovalError``, which says what to do, when vCenter refuses for a minute or is
    away for an hour.
    """
    marker = parse_marker(snapshot.description)
    if marker is None:
        raise KeptError(
            f"snapshot {snapshot.name} of {snapshot.vm_name or snapshot.vm} is not ours: it stays",
            "its description holds no marker of orchestrate",
        )
    _owing(session).add(snapshot.vm)
    return _remove(session, snapshot.vm, marker, pace, patience)


def withdraw(
    session: Session,
    vm: str,
    marker: Marker,
    pace: float = PACE,
    settle: float = making.APPEAR_SECONDS,
    patience: float = math.inf,
    *,
    was_made: bool = False,
    found: Callable[[str], None] = lambda moref: None,
) -> Removal:
    """Remove the job's snapshot where its making has failed, or was never heard of again.

    Disks of a VM that never had it are not consolidated; it had, if ``was_made``. ``found`` is called with
    the snapshot's moref before it is removed.
    Waits for a task that may still make it, and then, where nobody knows of one, ``settle`` seconds for it
    to appear. ``patience`` and ``RemovalError`` as in ``remove``.
    """

    def look() -> Any:
        return making.appearing(session, vm, marker, settle, patience)

    with _told(session, vm, marker, "is looked for in vain"):
        made = patiently(session, look, pace, patience)
    if was_made or made is not None:
        _owing(session).add(vm)
    if made is not None:
        found(made._moId)
    return _remove(session, vm, marker, pace, patience)


def _remove(session: Session, vm: str, marker: Marker, pace: float, patience: float) -> Removal:
    begun = time.monotonic()
    with _told(session, vm, marker, "is not removed"):
        gone = patiently(session, lambda: _remove_once(session, vm, marker, patience), pace, patience)
    with _told(session, vm, marker, "is removed, and the VM's disks still need consolidation"):
        mended = patiently(session, lambda: _consolidate_once(session, vm, patience), pace, patience)
    _owing(session).discard(vm)
    return Removal(gone, mended is True, time.monotonic() - begun, "" if mended is not None else _UNTOLD)


def _owing(session: Session) -> set[str]:
    return _owed.setdefault(session, set())


@contextlib.contextmanager
def _told(session: Session, vm: str, marker: Marker, what: str) -> Iterator[None]:
    """Turn what vCenter has against it into an error that says where the VM stands, and what to do."""
    try:
        yield
    except (vmodl.MethodFault, VCenterBusyError, ConnectError) as error:
        facts = stuck.look(session, vm, marker)
        log.warning("what a person can do about %s: %s", marker.name, facts.advice)
        raise RemovalError(
            f"snapshot {marker.name} of {facts.vm} {what}: {describe(error)}{facts.told}", facts.advice
        ) from error


def _remove_once(session: Session, vm: str, marker: Marker, patience: float) -> bool:
    """Remove the snapshot if it is there; whether it was gone already."""
    target = session.managed(vim.VirtualMachine, vm)
    tree = _tree(session, target, marker)
    first = node = snapshot_tree.of_job(tree, marker)
    if first is None:
        for renamed in snapshot_tree.marked(tree, marker):
            raise KeptError(
                f"snapshot {marker.name} of {vm} was renamed to {renamed.name!r}: it stays",
                "somebody keeps it; it is theirs to delete in the vSphere client",
            )
        # vCenter takes a snapshot off the tree first, and merges its files then.
        for task in tasks.at_work(session, target, tasks.REMOVAL):
            tasks.outlast(session, task)
        return True
    _owing(session).add(vm)
    while node is not None:  # twice, where a host made one that it had said to have failed with
        try:
            tasks.wait(session, node.snapshot.RemoveSnapshot_Task(False, True))
        except vim.fault.TaskInProgress as fault:
            tasks.outlast(session, fault.task, patience)
            raise
        except vmodl.MethodFault:
            # The snapshot can be gone and its disks left to consolidate, which comes next.
            if snapshot_tree.of_job(_tree(session, target, marker), marker) is not None:
                raise
        node = _next(session, target, marker, node.snapshot._moId)
    return False


def _next(session: Session, target: Any, marker: Marker, removed: str) -> Any:
    """The job's next snapshot, if there is one; not the one whose removal vCenter lists late.

    Raises ``HiddenError`` where that one stays in the tree.
    """
    waited, pause = 0.0, _LATE_PAUSE
    while True:
        node = snapshot_tree.of_job(_tree(session, target, marker), marker)
        if node is None or node.snapshot._moId != removed:
            return node
        if waited >= _LATE_SECONDS:
            raise HiddenError(
                f"vCenter says that {marker.name} of {target._moId} is removed, and lists it yet"
            )
        session.pause(pause)
        waited, pause = waited + pause, pause * 2


def _consolidate_once(session: Session, vm: str, patience: float) -> bool | None:
    """Consolidate the VM's disks if it had a snapshot of ours and they need it; whether they did.

    None: vCenter does not tell.
    """
    if vm not in _owing(session):
        return False
    target = session.managed(vim.VirtualMachine, vm)
    row = one(session, target, (_NEEDED,))
    if row is not None and (fault := row.withheld.get(_NEEDED)):
        log.warning("of %s, after its snapshot's removal: %s: %s", vm, _UNTOLD, describe(fault))
        return None
    if row is None or not row.get(_NEEDED):
        return False
    try:
        tasks.wait(session, target.ConsolidateVMDisks_Task())
    except vim.fault.TaskInProgress as fault:
        tasks.outlast(session, fault.task, patience)
        raise
    return True


def _tree(session: Session, target: Any, marker: Marker) -> Any:
    """The VM's tree of snapshots; None when it has none, or is gone.

    Raises ``HiddenError`` where it does not show the job's, and vCenter may not see what there is.
    """
    row = one(session, target, ("snapshot", _CONNECTION))
    if row is None:
        return None
    if fault := row.withheld.get("snapshot"):
        raise HiddenError(f"vCenter does not tell the snapshots of {row.moref}: {describe(fault)}")
    tree, connection = row.get("snapshot"), row.get(_CONNECTION)
    if connection != "connected" and not any(snapshot_tree.marked(tree, marker)):
        raise HiddenError(f"vCenter does not see the VM {row.moref}, which is {connection or 'hidden'}")
    return tree
