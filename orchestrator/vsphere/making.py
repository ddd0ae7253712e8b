"""The one call that makes a snapshot, and what can become of it: late answers, lost ones, and none at all."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass
from typing import Any

from pyVmomi import vim, vmodl

from orchestrator.errors import SnapshotError
from orchestrator.vsphere import snapshot_tree, tasks
from orchestrator.vsphere.faults import describe
from orchestrator.vsphere.marker import Marker, format_marker
from orchestrator.vsphere.properties import one
from orchestrator.vsphere.rules import HOST_QUIESCE_MINUTES, SnapshotLimits
from orchestrator.vsphere.session import Session
from orchestrator.vsphere.stub import UnreachableError

log = logging.getLogger(__name__)

CANCEL_SECONDS = 60.0
"""For a task to end once it is asked to; a host thaws the guest first."""
APPEAR_SECONDS = 30.0
"""For a snapshot to show whose task nobody knows of: a host goes on while vCenter restarts."""
_LOOK_SECONDS = 1.0


UNSURE = (vim.fault.Timedout, vmodl.fault.HostCommunication)
"""Faults with which a host may have made the snapshot, or makes it yet."""


class SlowSnapshotError(SnapshotError):
    """A snapshot is still being made at the end of its time; it is removed as soon as it is there."""

    kind = "snapshot-slow"
    retryable = True
    uncertain = True


class SlowGuestError(SnapshotError):
    """The guest's file systems were not frozen in time, or its scripts did not end; nothing was made."""


@dataclass(frozen=True, slots=True)
class Order:
    """Which snapshot is to be made, of what."""

    session: Session
    vm: str
    """Moref."""
    name: str
    """The VM's, for messages."""
    marker: Marker
    limits: SnapshotLimits

    @property
    def target(self) -> Any:
        """The VM as a managed object."""
        return self.session.managed(vim.VirtualMachine, self.vm)


def make(order: Order, quiesced: bool) -> Any:
    """The new snapshot, as a managed object.

    Raises vCenter's fault, ``SlowGuestError`` when it was quiesced and had to be cancelled, or
    ``SlowSnapshotError``.
    """
    try:
        task = _begin(order, quiesced)
        return tasks.wait(order.session, task, order.limits.making_seconds)
    except tasks.TaskSlowError:
        return _cancelled(order, task, quiesced)
    except (UnreachableError, tasks.TaskLostError) as error:
        # Whether the call was carried out is not known; a second one would make a second snapshot.
        made = late(order)
        if made is None:
            raise error
        return made


def late(order: Order) -> Any:
    """The job's snapshot if it appears although nobody answered for it, else None.

    Raises ``TaskSlowError`` when a task that may make it takes longer than making one may.
    """
    return appearing(order.session, order.vm, order.marker, APPEAR_SECONDS, order.limits.making_seconds)


def present(order: Order) -> Any:
    """The job's snapshot if the VM has it now, else None."""
    row = one(order.session, order.target, ("snapshot",))
    node = snapshot_tree.of_job(row.get("snapshot") if row else None, order.marker)
    return None if node is None else node.snapshot


def appearing(session: Session, vm: str, marker: Marker, seconds: float, patience: float = math.inf) -> Any:
    """The job's snapshot, once no task that may make it is at work and ``seconds`` have passed; else None.

    Raises ``TaskSlowError`` when one is at work still after ``patience`` seconds.
    """
    target = session.managed(vim.VirtualMachine, vm)
    begun = time.monotonic()
    deadline = begun + seconds
    while True:
        for task in tasks.at_work(session, target, tasks.CREATION):
            left = max(0.0, begun + patience - time.monotonic())
            if not tasks.outlast(session, task, left):
                raise tasks.TaskSlowError(
                    f"the vSphere task {task._moId}, which makes a snapshot of {vm}, is at work still"
                )
        row = one(session, target, ("snapshot",))
        node = snapshot_tree.of_job(row.get("snapshot") if row else None, marker)
        if node is not None:
            return node.snapshot
        if row is None or time.monotonic() >= deadline:
            return None
        session.pause(_LOOK_SECONDS)


def _begin(order: Order, quiesced: bool) -> Any:
    """Start the vSphere task; the memory is never in it, which takes long and is of no use here."""
    name, description = order.marker.name, format_marker(order.marker)
    minutes = order.limits.quiesce_minutes
    if quiesced and minutes != HOST_QUIESCE_MINUTES:
        spec = vim.vm.GuestQuiesceSpec(timeout=minutes)
        return order.target.CreateSnapshotEx_Task(name, description, False, spec)
    return order.target.CreateSnapshot_Task(name, description, False, quiesced)


def _cancelled(order: Order, task: Any, quiesced: bool) -> Any:
    """End the making of a snapshot that takes too long; the snapshot, if it was faster."""
    minutes = order.limits.making_seconds / 60
    log.warning("the snapshot of %s takes more than %.0f minutes: it is cancelled", order.name, minutes)
    try:
        task.CancelTask()
    except vmodl.MethodFault as fault:
        log.info("the vSphere task %s cannot be cancelled: %s", task._moId, describe(fault))
    try:
        return tasks.wait(order.session, task, CANCEL_SECONDS)
    except tasks.TaskSlowError as error:
        raise SlowSnapshotError(
            f"snapshot of {order.name}: it is still being made after {minutes:.0f} minutes",
            f"see the task {task._moId} in the vSphere client; the snapshot is removed once it is there",
        ) from error
    except vmodl.fault.RequestCanceled as fault:
        if quiesced:
            raise SlowGuestError(f"the guest took more than {minutes:.0f} minutes") from fault
        message = f"snapshot of {order.name}: it was not made within {minutes:.0f} minutes, and was cancelled"
        raise SlowSnapshotError(message, "see how busy its ESXi host and datastores are") from fault
