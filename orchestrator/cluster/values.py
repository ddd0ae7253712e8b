"""What a cluster is made from, and what it tells: values only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.fleet.machine import WorkerJoined
from orchestrator.fleet.states import WorkerLost
from orchestrator.resident import TaskDone, TaskFailed
from orchestrator.work import Work

CONVERT = "convert"
"""Resource of the workers that convert: 1 for each VM they take at one time."""
VCENTER = "vcenter"
"""Resource of the resident worker."""


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """Which workers convert."""

    scheduler: str = ""
    """Address of a running scheduler; empty: workers are started on this machine."""
    workers: int | None = None
    """Local workers; None: one for each processor core."""
    memory: str = "2GiB"
    """Of a local worker."""
    scratch: str = ""
    """Folder on each worker; empty: below its ``TMPDIR``."""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Variables that local workers get beside this process's own, less those that name vCenter."""
    connect_seconds: float = 20.0
    """Until a scheduler that does not answer counts as not there."""
    silent_seconds: float = 45.0
    """Without a sign of life, until a worker counts as frozen, and so as lost."""
    resident_threads: int = 32
    """Calls to vCenter at one time; the removal of a snapshot may take hours."""


@dataclass(frozen=True, slots=True)
class Progressed:
    """A stage on a worker tells what it has moved: bytes, by name."""

    job: str
    attempt: int
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class SchedulerLost:
    """The scheduler is gone, and all workers with it, until one is found again; calls to vCenter go on."""


ClusterEvent = TaskDone | TaskFailed | Progressed | WorkerJoined | WorkerLost | SchedulerLost
Listener = Callable[[ClusterEvent], None]
"""Called from any thread; must not block."""
WorkerStage = Callable[[Any, Work], Any]
"""A stage on a worker: importable there; takes its order and its ``Work``, gives a value that pickles."""
