"""Looks now and then where the run's VMs are, and whether their datastores have room: a thread of its own.

Two calls to vCenter a minute for all. DRS, HA and people move VMs while they wait for their turn: the budgets
of hosts and datastores would else be kept for places where the VMs no longer are.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from orchestrator.errors import OrchestratorError
from orchestrator.fleet.surroundings import Crowded, Moved, crowded
from orchestrator.vsphere.api import VCenterApi
from orchestrator.vsphere.values import Placement

log = logging.getLogger(__name__)

PERIOD = 60.0
"""Seconds between two looks."""
AT_A_TIME = 500
"""VMs looked at: those at work, and those whose turn comes first."""
_IN_VAIN = 5
"""Looks in a row that fail, after which nothing is known of any datastore's room."""


class Watch:
    """What was seen last, and what is new in it."""

    def __init__(self, placements: Mapping[str, Placement], free_fraction: float) -> None:
        """``placements`` by job, as the run began; ``free_fraction`` of a datastore must be free."""
        self._known = dict(placements)
        self._free_fraction = free_fraction
        self._crowded: dict[str, str] = {}
        self._in_vain = 0

    def look(self, vcenter: VCenterApi, jobs: Mapping[str, str]) -> Iterator[Moved | Crowded]:
        """What the fleet should know; ``jobs`` are those to look at, by moref of their VMs."""
        try:
            found = vcenter.whereabouts(jobs)
        except OrchestratorError as error:
            self._in_vain += 1
            log.warning("where VMs are, and what room there is, could not be asked: %s", error)
            if self._in_vain >= _IN_VAIN:
                self._crowded = {}
                yield Crowded({})  # each snapshot asks for room by itself, and no job waits for ever
            return
        self._in_vain = 0
        for placement in found.placements:
            job = jobs[placement.vm]
            if self._known.get(job) != placement:
                self._known[job] = placement
                yield Moved(job, placement)
        self._crowded = crowded(self._crowded, found.datastores, self._free_fraction)
        yield Crowded(self._crowded)


@contextmanager
def watching(
    watch: Watch,
    vcenter: VCenterApi,
    jobs: Callable[[], Mapping[str, str]],
    tell: Callable[[Moved | Crowded], None],
    period: float = PERIOD,
) -> Iterator[None]:
    """Look every ``period`` seconds until the block ends; ``jobs`` gives those to look at, by moref."""
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(period):
            for event in watch.look(vcenter, jobs()):
                tell(event)

    thread = threading.Thread(target=run, name="whereabouts", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
