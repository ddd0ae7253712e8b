"""What a run's loop hears, whom it tells, and how long it waits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from converters.request import Converted, Proposal
from orchestrator.fleet.machine import Interrupted, Terminated
from orchestrator.fleet.plan import PlannedVm
from orchestrator.fleet.surroundings import Crowded, Leftovers, Moved
from orchestrator.gate import GateEvent
from orchestrator.job import Published
from orchestrator.verify.verdict import Verification
from orchestrator.vsphere.values import Lease
from orchestrator.whereabouts import PERIOD

HEARTBEAT_SECONDS = 15.0
"""Between two looks at ledger, scheduler, workers and leases."""
OnImage = Callable[[PlannedVm, Converted, Published], None]
OnPlan = Callable[[PlannedVm, Proposal], None]
Verify = Callable[[PlannedVm, Converted, Published], Verification]
"""Starts a machine's containers and tells whether they serve."""


@dataclass(frozen=True, slots=True)
class LedgerLost:
    """The ledger is given up, or another orchestrator has closed the run; see ``RunLedger.trouble``."""


@dataclass(frozen=True, slots=True)
class Unwritten:
    """What belongs to a VM's image, and lies beside the report, could not be written."""

    job: str
    why: str


@dataclass(frozen=True, slots=True)
class Verified:
    """A VM's containers were started, and removed again."""

    job: str
    found: Verification


Event = LedgerLost | Unwritten | Verified | GateEvent | Moved | Crowded | Leftovers | Interrupted | Terminated


class Keeper(Protocol):
    """Who keeps leases alive."""

    def report_progress(self, lease: Lease, received: int) -> None:
        """Bytes of all the lease's disks that have arrived. Raises ``LeaseError`` when it has ended."""
        ...

    def leave(self, seconds: float) -> None:
        """Let go of everything, as far as that goes in so many seconds: the process is about to end."""
        ...


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a run waits for what may not come, in seconds."""

    grace: float = 25.0
    """For cleaning up, once somebody has asked the process to end; otherwise it takes what it takes."""
    worker: float = 600.0
    """For a first worker, or for another when all are gone."""
    heartbeat: float = HEARTBEAT_SECONDS
    look: float = PERIOD
    """Between two looks at where VMs are, and at the room on their datastores."""
    sweep: float = 30.0
    """For what else holds a VM with a snapshot of an earlier run: the other VMs must not wait for it."""
