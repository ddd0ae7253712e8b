"""Waiting for vSphere tasks, which outlive the session that started them."""

from __future__ import annotations

import time
from typing import Any

from orchestrator.errors import VCenterBusyError
from orchestrator.vsphere.properties import one
from orchestrator.vsphere.session import Session

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 3.0
_GROWTH = 1.5


class TaskLostError(VCenterBusyError):
    """vCenter has forgotten the task (it restarted), so only a look at the object tells how it ended."""


def wait(session: Session, task: Any) -> Any:
    """The result of a vSphere task, however long it takes. Raises the fault that the task ended with."""
    pause = _FIRST_PAUSE
    while True:
        row = one(session, task, ("info.state", "info.error", "info.result"))
        if row is None:
            raise TaskLostError(f"vCenter no longer knows the task {task._moId}")
        match row.get("info.state"):
            case "success":
                return row.get("info.result")
            case "error":
                raise row.get("info.error")
        time.sleep(pause)
        pause = min(pause * _GROWTH, _LONGEST_PAUSE)
