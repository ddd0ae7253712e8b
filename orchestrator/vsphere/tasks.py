"""Waiting for vSphere tasks, which outlive the session that started them, and vCenter's own absence."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Collection
from typing import Any

from pyVmomi import vim, vmodl

from orchestrator.errors import ConnectError, VCenterBusyError
from orchestrator.vsphere.faults import describe
from orchestrator.vsphere.properties import Row, of, one
from orchestrator.vsphere.session import Session
from orchestrator.vsphere.stub import UnreachableError

log = logging.getLogger(__name__)

AWAY_SECONDS = 900.0
"""How long vCenter may be away while a task is waited for: its services take 5 to 10 minutes to restart."""
AT_WORK = ("running", "queued")
CREATION = frozenset({"createsnapshot"})
"""Kinds of tasks that make a snapshot, as ``at_work`` takes them."""
REMOVAL = frozenset({"snapshot.remove", "removesnapshot", "removeallsnapshots", "consolidate"})
"""Kinds of tasks that remove snapshots or merge the files that these leave."""

_FIRST_PAUSE = 0.05
_GROWTH = 1.5
_SHORT_PAUSE = 3.0
_LONGEST_PAUSE = 30.0
_SHARE = 0.1
"""Of the time that was waited: a removal that takes hours is not asked after every three seconds."""


class TaskLostError(VCenterBusyError):
    """vCenter has forgotten the task (it restarted), so only a look at the object tells how it ended."""

    uncertain = True


class TaskSlowError(VCenterBusyError):
    """The task is still at work at the end of the time that it was given."""

    uncertain = True


def wait(session: Session, task: Any, limit: float = math.inf, away: float = AWAY_SECONDS) -> Any:
    """The result of a vSphere task.

    Args:
        limit: seconds; the task itself is not ended.
        away: seconds for which vCenter may not answer, or may refuse the login, as it does while it starts.

    Raises the fault that the task ended with, ``TaskLostError``, ``TaskSlowError``, or what vCenter's
    absence shows as.
    """
    begun = answered = time.monotonic()
    pause = _FIRST_PAUSE
    while True:
        try:
            row = one(session, task, ("info.state", "info.error", "info.result"))
        except (UnreachableError, ConnectError) as error:
            if time.monotonic() - answered >= away:
                raise
            log.info("a vSphere task is waited for while vCenter is away: %s", error.message)
        else:
            answered = time.monotonic()
            if row is None:
                raise TaskLostError(f"vCenter no longer knows the task {task._moId}")
            match row.get("info.state"):
                case "success":
                    return row.get("info.result")
                case "error":
                    raise row.get("info.error")
        waited = time.monotonic() - begun
        if waited >= limit:
            raise TaskSlowError(f"the vSphere task {task._moId} is still at work after {waited:.0f} seconds")
        pause = min(pause * _GROWTH, max(_SHORT_PAUSE, waited * _SHARE), _LONGEST_PAUSE)
        session.pause(min(pause, limit - waited))


def outlast(session: Session, task: Any, patience: float = math.inf) -> bool:
    """Wait for a task that holds a VM, however it ends; False when it is at work after ``patience`` seconds.

    Each try meanwhile would be a failed task at vCenter.
    """
    try:
        wait(session, task, patience)
    except TaskSlowError as slow:
        log.info("%s", slow.message)
        return False
    except (vmodl.MethodFault, TaskLostError) as ended:
        log.info("the vSphere task %s ended: %s", task._moId, describe(ended))
    return True


def at_work(session: Session, vm: Any, kinds: Collection[str]) -> list[Any]:
    """The vSphere tasks of these kinds that run or wait on a VM, whoever began them. Two calls at most.

    A kind is a part, in small letters, of what vCenter calls the task (``TaskInfo.descriptionId``):
    ``VirtualMachine.createSnapshot``, ``vm.Snapshot.remove``.
    """
    row = one(session, vm, ("recentTask",))

    def wanted(task: Row) -> bool:
        kind = str(task.get("info.descriptionId", "")).lower()
        return task.get("info.state") in AT_WORK and any(part in kind for part in kinds)

    paths = {vim.Task: ("info.state", "info.descriptionId")}
    found = of(session, row.get("recentTask", ()) if row else (), paths, lambda task: task)
    return [session.managed(vim.Task, task.moref) for task in found if wanted(task)]
