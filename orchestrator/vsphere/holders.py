"""Who else needs a VM now: a backup, another vSphere task, its host's maintenance. Then it is put off.

Asked before each snapshot, and answered by vCenter's properties alone. A task that begins between the
question and the snapshot shows as a fault of the call, which ``busy`` translates.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pyVmomi import vim, vmodl

from orchestrator.errors import BackupRunningError, HeldError, HostAwayError, VCenterBusyError
from orchestrator.vsphere import backups, snapshot_tree
from orchestrator.vsphere.faults import describe
from orchestrator.vsphere.marker import parse_marker
from orchestrator.vsphere.names import decode
from orchestrator.vsphere.properties import Row, of, one
from orchestrator.vsphere.session import Session

FACTS = ("name", "snapshot", "recentTask", "runtime.host", "runtime.connectionState")
"""Properties of a VM that ``require_free`` reads."""
HELD = (
    vim.fault.TaskInProgress,
    vim.fault.ResourceInUse,
    vim.fault.ConcurrentAccess,
    vim.fault.FileLocked,
    vim.fault.MethodDisabled,
    vim.fault.InvalidHostState,
)
"""Faults of a call on a VM that another task, or a backup product's lock on a method, holds."""
AWAY = (vmodl.fault.HostNotConnected, vmodl.fault.HostNotReachable)
"""Faults of a call on a VM whose ESXi host vCenter does not reach."""
_AT_WORK = ("running", "queued")
_HINT = "it is looked at again by itself; --put-off-hours says for how long"


def require_free(session: Session, row: Row) -> None:
    """Raise ``PutOffError`` when others need the VM whose ``FACTS`` are in ``row``; nothing is changed.

    One call to vCenter for the host, and one more each when the VM has recent tasks, or a backup's snapshot.
    """
    name = decode(row.get("name", row.moref))
    _require_host(session, row, name)
    found = backup(row.get("snapshot"))
    if found is not None and found.running(session.current_time()):
        since = datetime.fromtimestamp(found.created, UTC).strftime("%Y-%m-%d %H:%M UTC")
        raise BackupRunningError(
            f"{found.product} is at work on {name}: its snapshot {found.name!r} is there since {since}",
            _HINT,
            untouched=True,
        )
    if task := _task(session, row):
        raise HeldError(f"another vSphere task is at work on {name}: {task}", _HINT, untouched=True)


def backup(tree: Any) -> backups.BackupSnapshot | None:
    """The newest backup snapshot in a VM's tree of snapshots; ours never count."""
    return backups.latest(
        (decode(node.name), node.description or "", node.createTime.timestamp())
        for node in snapshot_tree.nodes(tree)
        if parse_marker(node.description or "") is None
    )


def busy(fault: Exception, doing: str) -> VCenterBusyError:
    """The error for a fault that passes by itself: where others hold the VM, it is put off."""
    message = f"{doing}: {describe(fault)}"
    if isinstance(fault, AWAY):
        return HostAwayError(message, _HINT)
    return HeldError(message, _HINT) if isinstance(fault, HELD) else VCenterBusyError(message)


def _require_host(session: Session, row: Row, name: str) -> None:
    host = row.get("runtime.host")
    known = host and one(session, host, ("name", "runtime.connectionState", "runtime.inMaintenanceMode"))
    if not known:
        return
    called = known.get("name", known.moref)
    if (
        known.get("runtime.connectionState") != "connected"
        or row.get("runtime.connectionState") == "disconnected"
    ):
        state = known.get("runtime.connectionState", "away")
        raise HostAwayError(f"the ESXi host {called} of {name} is {state}", _HINT, untouched=True)
    if known.get("runtime.inMaintenanceMode"):
        raise HostAwayError(f"the ESXi host {called} of {name} is in maintenance mode", _HINT, untouched=True)


def _task(session: Session, row: Row) -> str:
    """What a task that is at work on the VM does; empty when there is none."""
    paths = {vim.Task: ("info.state", "info.descriptionId", "info.name")}
    for task in of(session, row.get("recentTask", ()), paths, lambda found: found):
        if task.get("info.state") in _AT_WORK:
            return str(task.get("info.descriptionId") or task.get("info.name") or task.moref)
    return ""
