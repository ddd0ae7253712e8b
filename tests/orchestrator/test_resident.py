"""Calls that last hours hold up no other."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass, field

from orchestrator.errors import RemovalError
from orchestrator.resident import Desk, TaskDone, TaskFailed, TaskKey, lasting

HANGING = 40
"""More calls than there are threads for those that end soon."""


@dataclass(slots=True)
class Resident:
    """Removes snapshots slowly."""

    over: threading.Event = field(default_factory=threading.Event)

    def snapshot(self, vm: str) -> str:
        return f"snapshot of {vm}"

    @lasting
    def release(self, vm: str) -> str:
        self.over.wait()
        if vm == "web":
            raise RemovalError("web keeps its snapshot")
        return f"{vm} is released"


def test_removals_that_hang_hold_up_no_snapshot() -> None:
    told: queue.SimpleQueue[TaskDone | TaskFailed] = queue.SimpleQueue()
    resident = Resident()
    vms = ["web", *(f"vm{n}" for n in range(1, HANGING))]
    with Desk(resident, told.put, threads=1) as desk:
        for vm in vms:
            key = TaskKey(vm, vm, "release", 1)
            assert not desk.expect(key, "release", (vm,)), "it is begun"
        fast = TaskKey("next", "next", "snapshot", 1)
        assert desk.expect(fast, "snapshot", ("next",))
        desk.run_apart(fast)
        assert told.get(timeout=5) == TaskDone(fast, "snapshot of next")
        assert told.empty()
        resident.over.set()
        ends = [told.get(timeout=5) for _ in vms]
    assert {end.value for end in ends if isinstance(end, TaskDone)} == {f"{vm} is released" for vm in vms[1:]}
    (failed,) = (end for end in ends if isinstance(end, TaskFailed))
    assert (failed.key.job, failed.failure.kind) == ("web", "removal")
