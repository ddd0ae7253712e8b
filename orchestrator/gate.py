"""Tests each worker before the run hears of it: one that is not as a run needs it gets no VM.

Workers come and go while a run goes on. Those that are there at its beginning are tested before it begins;
each later one when it joins, and again now and then while it does not pass.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import CancelledError, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace

from orchestrator.cluster import Cluster, ClusterEvent, RollCall
from orchestrator.errors import CheckError
from orchestrator.fleet.machine import SetAside, WorkerJoined
from orchestrator.fleet.states import Failure, WorkerLost
from orchestrator.preflight import hosts
from orchestrator.preflight.needs import needs_of
from orchestrator.preflight.workers import WORKERS, Judged, judge
from orchestrator.probe.worker import ProbeOrder, probe
from orchestrator.vsphere.values import CheckResult, Grade, VirtualMachine

log = logging.getLogger(__name__)

_ANSWER_SECONDS = 60.0
_SOON_SECONDS = 2.0
"""Until workers are asked again that could not be."""
_LOOK_SECONDS = 0.1
"""Between two looks whether an answer is still wanted."""
_AGAIN_SECONDS = 60.0
"""Between two tests of a worker that does not pass: what is wrong with it may be mended meanwhile."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A worker gets no VM."""

    note: str
    """What a person should know."""


GateEvent = ClusterEvent | SetAside | Refused


class Gate:
    """Stands between a cluster and who listens to it. Thread-safe."""

    def __init__(
        self, order: ProbeOrder, vms: Mapping[str, VirtualMachine], tell: Callable[[GateEvent], None]
    ) -> None:
        """Prepare.

        Args:
            order: what workers find out; its hosts are those of the VMs.
            vms: what is to be converted, by job.
            tell: hears of everything but workers that do not pass; called from any thread, must not block.
        """
        self._order = order
        needs = needs_of(vms.values())
        self._needs = needs if order.hosts else replace(needs, hosts={})
        self._jobs: dict[str, list[str]] = defaultdict(list)
        for job, vm in vms.items():
            if vm.host is not None:
                self._jobs[vm.host.name].append(job)
        self._tell = tell
        self._lock = threading.Lock()
        self._waiting: dict[str, WorkerJoined] = {}
        """Workers that have joined and not passed."""
        self._passed: set[str] = set()
        self._refused: dict[str, str] = {}
        self._out: frozenset[str] | None = None
        """Hosts that are given up; None: nobody has tried them yet."""
        self._wake = threading.Event()
        self._closed = False

    def heard(self, event: ClusterEvent) -> None:
        """What the cluster tells; passed on, but for workers that have not been tested."""
        with self._lock:
            match event:
                case WorkerJoined(worker) if worker not in self._passed:
                    self._waiting[worker] = event
                    self._wake.set()
                    return
                case WorkerLost(worker):
                    self._waiting.pop(worker, None)
                    self._passed.discard(worker)
                    self._refused.pop(worker, None)
            # In the lock, so that nobody hears of a worker's end before its beginning.
            self._tell(event)

    @contextmanager
    def open(self, cluster: Cluster, unwanted: Callable[[], bool] = lambda: False) -> Iterator[None]:
        """Test the workers that are there, then, while the block runs, those that come.

        The first test ends early when ``unwanted`` says that the run is to stop.
        Raises ``CheckError`` when there are workers and a run cannot begin with them.
        """
        judged = self._test(cluster, None, unwanted)
        if judged is not None:
            _require(judged)
            _warn(judged)
            self._decide(judged)
        thread = threading.Thread(target=self._attend, args=(cluster,), name="gate")
        thread.start()
        try:
            yield
        finally:
            self._closed = True
            self._wake.set()
            thread.join()

    def _attend(self, cluster: Cluster) -> None:
        pause = _AGAIN_SECONDS
        while True:
            self._wake.wait(pause)
            self._wake.clear()
            if self._closed:
                return
            pause = _AGAIN_SECONDS
            with self._lock:
                waiting = tuple(self._waiting)
            if not waiting:
                continue
            if (judged := self._test(cluster, waiting, lambda: self._closed)) is not None:
                self._decide(judged)
            else:  # the scheduler is gone, or does not know yet whom it has told of
                pause = _SOON_SECONDS

    def _test(
        self, cluster: Cluster, only: Collection[str] | None, unwanted: Callable[[], bool]
    ) -> Judged | None:
        """What comes of asking workers; None when there is none, or nobody wants to know any more."""
        try:
            roll = _answer(cluster.call_roll(probe, self._order, _ANSWER_SECONDS, only), unwanted)
        except (OSError, RuntimeError, CancelledError) as error:  # of a lost scheduler, the cluster tells
            log.warning("workers cannot be tested: %s", str(error) or "the scheduler was lost meanwhile")
            return None
        return judge(roll, self._needs, self._out) if roll is not None and roll.workers else None

    def _decide(self, judged: Judged) -> None:
        if judged.fit and self._out is None:
            self._out = frozenset(judged.out)
            for host, why in judged.out.items():
                self._tell(SetAside(frozenset(self._jobs[host]), _unreachable(host, why)))
        with self._lock:
            for worker in judged.fit:
                self._passed.add(worker)
                self._refused.pop(worker, None)
                if (joined := self._waiting.pop(worker, None)) is not None:
                    self._tell(joined)
            for worker, why in judged.unfit.items():
                if self._refused.get(worker) != why:
                    self._refused[worker] = why
                    self._tell(Refused(f"worker {worker} gets no VM: {why}"))


def _answer(asking: Future[RollCall], unwanted: Callable[[], bool]) -> RollCall | None:
    """The answer; None when it was not waited for."""
    while not asking.done():  # what is cancelled before it runs does not wake who waits for it
        if unwanted():
            asking.cancel()
            return None
        wait((asking,), _LOOK_SECONDS)
    return asking.result()


def _unreachable(host: str, why: str) -> Failure:
    return Failure(
        "host-unreachable",
        f"its host {host} is out of reach of the workers: {why}",
        f"{hosts.REMEDY}; then run again",
        untouched=True,
    )


def _require(judged: Judged) -> None:
    if any(result.grade is Grade.BLOCKING for result in judged.results):
        raise CheckError(*_words(judged))


def _warn(judged: Judged) -> None:
    """Log what may go badly; who gets no VM, and which hosts are out of reach, the run tells."""
    for result in judged.results:
        if result.grade is Grade.WARNING and result.name not in (WORKERS, hosts.NAME):
            log.warning("%s: %s → %s", result.name, result.detail, result.remedy)


def _words(judged: Judged) -> tuple[str, str]:
    """What keeps a run from beginning, and what to do about it, as ``orchestrate check`` says it."""
    grave: list[CheckResult] = [
        result for result in judged.results if result.grade is Grade.BLOCKING and result.name != WORKERS
    ]
    remedies = dict.fromkeys(result.remedy for result in grave if result.remedy)
    return "; ".join(f"{result.name}: {result.detail}" for result in grave), "; ".join(remedies)
