"""Feeds what happens to the fleet's machine, and carries out what it says, until every job has ended.

One loop in one thread. Everything that happens arrives in one queue: tasks that end, bytes that move, workers
that come and go, signals. Between events it sleeps until the machine's next tick or the next heartbeat.
"""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import assert_never

from converters.request import Converted, Proposal
from orchestrator import logs
from orchestrator.board import Board
from orchestrator.cluster import Cluster, Progressed, SchedulerLost
from orchestrator.errors import LeaseError
from orchestrator.failures import failure_of
from orchestrator.fleet.machine import Fleet, FleetEvent, Interrupted, SetAside, Terminated, WorkerJoined
from orchestrator.fleet.plan import PlannedVm
from orchestrator.fleet.states import (
    Abandon,
    Failure,
    Instruction,
    Mode,
    Record,
    Stage,
    StageDone,
    StageFailed,
    Start,
    Tick,
    WorkerLost,
)
from orchestrator.fleet.steps import expects
from orchestrator.fleet.surroundings import Crowded, Leftovers, Moved
from orchestrator.fleet.view import RunPhase
from orchestrator.gate import Refused
from orchestrator.in_place import InPlace
from orchestrator.job import Published, VmJob
from orchestrator.ledger import RunLedger
from orchestrator.resident import TaskDone, TaskFailed
from orchestrator.terms import (
    Event,
    Keeper,
    LedgerLost,
    OnImage,
    OnPlan,
    Patience,
    Unwritten,
    Verified,
    Verify,
)
from orchestrator.verify.verdict import Verification
from orchestrator.vsphere.values import Lease, Placement

log = logging.getLogger(__name__)

_LEAVE_SECONDS = 2.0
"""For leases and the session, when snapshots could not be removed in time."""
_PHASES = {
    Mode.RUN: RunPhase.RUNNING,
    Mode.DRAIN: RunPhase.DRAINING,
    Mode.CANCEL: RunPhase.CANCELLING,
}


@dataclass(slots=True)
class Loop:
    """From the first event to the last job's end."""

    fleet: Fleet
    jobs: Mapping[str, VmJob]
    cluster: Cluster
    keeper: Keeper
    ledger: RunLedger
    board: Board
    events: queue.SimpleQueue[Event]
    patience: Patience
    on_image: OnImage
    on_plan: OnPlan
    verify: Verify | None
    """None: nobody wants to know whether the containers serve."""
    verify_at_once: int
    leave: Callable[[], None]
    """Ends the process, when cleaning up takes longer than its grace."""
    _writer: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="image-writer")
    )
    _verifiers: ThreadPoolExecutor = field(init=False)
    _beat_due: float = 0.0
    _deadline: float | None = None
    """When cleaning up has to be over; None: nobody has asked the process to end."""
    _interrupted: bool = False
    """Whether there was a first Ctrl-C, which limits nothing."""
    _alone_since: float = field(default_factory=time.monotonic)
    """Since when there is no worker, unless there is one."""

    def __post_init__(self) -> None:
        self._verifiers = ThreadPoolExecutor(self.verify_at_once, thread_name_prefix="verify")

    def run(self) -> None:
        """Return when every job has ended; a defect on the way is raised after everything was undone."""
        self.ledger.when_lost(lambda: self.events.put(LedgerLost()))
        with self._verifiers, self._writer:
            try:
                self._until_ended()
            except Exception:
                log.exception("the run stops: what is begun is undone")
                self._feed(Terminated())
                self._until_ended()
                raise
        self._hear_the_rest()

    def _hear_the_rest(self) -> None:
        """What was written or verified last."""
        while not self.events.empty():
            if isinstance(event := self.events.get(), Unwritten | Verified):
                self._on_event(event)

    def _until_ended(self) -> None:
        while not self.fleet.ended:
            self._beat_when_due()
            if self._deadline is not None and time.monotonic() > self._deadline:
                self.ledger.end("interrupted")
                self.keeper.leave(_LEAVE_SECONDS)
                self.leave()
                return
            event = self._next()
            if event is None:
                self._feed(Tick())
            else:
                self._on_event(event)

    def _next(self) -> Event | None:
        """The next event; None when the machine's next tick, a heartbeat or the deadline comes first."""
        times = (self.fleet.next_tick(), self._beat_due, self._deadline)
        first = min(time for time in times if time is not None)
        try:
            return self.events.get(timeout=max(0.0, first - time.monotonic()))
        except queue.Empty:
            return None

    def _on_event(self, event: Event) -> None:
        match event:
            case TaskDone(key, value):
                with logs.about(key.subject):
                    self._on_done(key.job, Stage(key.stage), key.attempt, value)
            case TaskFailed(key, failure):
                with logs.about(key.subject):
                    self._on_failed(key.job, Stage(key.stage), key.attempt, failure)
            case Progressed(job, attempt, counts):
                self._on_progress(job, attempt, counts)
            case SchedulerLost():
                self.board.note(
                    "the Dask scheduler is gone, and its workers with it: "
                    "their VMs are begun again as soon as there are workers"
                )
            case Refused(note):
                self.board.note(note)
            case Unwritten(job, why):
                self.board.note(f"what belongs to the image could not be written: {why}", job)
            case Verified(job, found):
                self.board.verified(job, found)
            case LedgerLost():
                self._mind_ledger()
            case Moved(job, placement):
                self._follow(job, placement)
            case Interrupted() | Terminated():
                self._on_signal(event)
            case WorkerJoined() | WorkerLost() | SetAside() | Crowded() | Leftovers():
                self._feed(event)
            case _:
                assert_never(event)

    def _on_signal(self, event: Interrupted | Terminated) -> None:
        """Whoever asks the process to end waits only so long; what the run cancels by itself is undone."""
        if (self._interrupted or isinstance(event, Terminated)) and self._deadline is None:
            self._deadline = time.monotonic() + self.patience.grace
        self._interrupted = True
        self._feed(event)

    def _on_done(self, job: str, stage: Stage, attempt: int, value: object) -> None:
        if not expects(self.fleet.jobs[job], stage, attempt):
            log.info("a late result of %s, attempt %d, is of no use", stage, attempt)
            return
        held = self.jobs[job]
        held.took(value)
        self.board.done(job, stage, attempt, value)
        if isinstance(value, Published) and held.converted is not None:
            self.board.published(job, value, held.converted, held.snapshot)
            self._tell_image(held, held.converted, value)
        if isinstance(value, Proposal) and stage is Stage.PUBLISH:
            self._write(held.planned, lambda: self.on_plan(held.planned, value))
        if isinstance(value, Lease | InPlace) and value.placement is not None:
            self._follow(job, value.placement)
        self._feed(StageDone(job, stage, attempt, in_place=isinstance(value, InPlace)))

    def _follow(self, job: str, placement: Placement) -> None:
        """The VM is where it was not before, or is called otherwise."""
        held = self.jobs[job]
        if note := held.planned.renaming(placement):
            self.board.note(note, job)
        held.planned = held.planned.placed(placement)
        self.board.placed(job, placement)
        self._feed(Moved(job, placement))

    def _tell_image(self, job: VmJob, converted: Converted, published: Published) -> None:
        planned = job.planned

        def tell() -> None:
            self.on_image(planned, converted, published)
            if self.verify is not None:
                # What was written beside the image belongs to it. A run that is cancelled tries nothing more.
                with suppress(RuntimeError):
                    self._verifiers.submit(self._try_out, self.verify, planned, converted, published)

        self._write(planned, tell)

    def _write(self, planned: PlannedVm, tell: Callable[[], None]) -> None:
        """Beside the loop: a disk may take its time over a file, and leases are to be kept meanwhile."""

        def write() -> None:
            try:
                tell()
            except OSError as error:  # what is written beside an image is not worth a failed VM
                self.events.put(Unwritten(planned.job, str(error)))

        self._writer.submit(write)

    def _try_out(
        self, verify: Verify, planned: PlannedVm, converted: Converted, published: Published
    ) -> None:
        try:
            self.events.put(Verified(planned.job, verify(planned, converted, published)))
        except Exception as error:  # the image is there; whether it serves is not worth the run
            log.exception("%s cannot be verified", planned.vm.name)
            self.events.put(Verified(planned.job, Verification(planned.vm.name, error=str(error))))

    def _on_failed(self, job: str, stage: Stage, attempt: int, failure: Failure) -> None:
        if not expects(self.fleet.jobs[job], stage, attempt):
            return
        log.warning("%s failed: %s", stage, failure.message)
        self.board.failed(job, stage, attempt, failure)
        self._feed(StageFailed(job, stage, attempt, failure))

    def _on_progress(self, job: str, attempt: int, counts: Mapping[str, int]) -> None:
        if self.fleet.jobs[job].attempt != attempt:
            return
        self.board.moved(job, counts)
        if expects(self.fleet.jobs[job], Stage.DOWNLOAD, attempt):
            self._keep_lease(job, counts.get("received", 0))

    def _keep_lease(self, job: str, received: int) -> None:
        """Tell the lease's keeper what has arrived; when the lease is over, so is the download."""
        lease = self.jobs[job].lease
        if lease is None:
            return
        try:
            self.keeper.report_progress(lease, received)
        except LeaseError as error:
            self._on_failed(job, Stage.DOWNLOAD, self.fleet.jobs[job].attempt, failure_of(error))

    def _feed(self, event: FleetEvent) -> None:
        before = self.fleet.mode
        self._carry_out(self.fleet.handle(event, time.monotonic()))
        if self.fleet.mode is Mode.CANCEL and before is not Mode.CANCEL:
            self.ledger.hurry()
            self._verifiers.shutdown(wait=False, cancel_futures=True)
        self.board.phase = _PHASES[self.fleet.mode]
        self.board.budgets = self.fleet.budgets()
        self.board.workers = tuple(self.fleet.workers)

    def _carry_out(self, instructions: Iterable[Instruction]) -> None:
        for instruction in instructions:
            match instruction:
                case Record(job):
                    self.board.recorded(job)
                case Start(job, stage, attempt, worker):
                    self.board.began(job, stage, attempt)
                    self._start(self.jobs[job], stage, attempt, worker)
                case Abandon(job, attempt, worker):
                    self.board.abandoned(job)
                    self.cluster.abandon(worker, job, attempt)
                case _:
                    assert_never(instruction)

    def _start(self, job: VmJob, stage: Stage, attempt: int, worker: str) -> None:
        try:
            job.start(self.cluster, stage, attempt, worker)
        except Exception as error:  # one VM's trouble must not become the others'
            self.events.put(TaskFailed(job.key(stage, attempt), failure_of(error)))

    def _beat_when_due(self) -> None:
        """Now and then: say that we live, look for the scheduler and its workers, ask after the leases."""
        now = time.monotonic()
        if now < self._beat_due:
            return
        self._beat_due = now + self.patience.heartbeat
        self._mind_ledger()
        self.cluster.look()
        for job in [job for job, held in self.fleet.jobs.items() if held.stage is Stage.DOWNLOAD]:
            self._keep_lease(job, 0)
        self._mind_workers(now)

    def _mind_ledger(self) -> None:
        if (trouble := self.ledger.trouble()) and self.fleet.mode is not Mode.CANCEL:
            self.board.lost = trouble
            self.board.note(f"{trouble}: what was begun is undone")
            self._feed(Terminated())

    def _mind_workers(self, now: float) -> None:
        if self.fleet.workers:
            self._alone_since = now
            return
        waited = now - self._alone_since
        if waited > self.patience.worker and self.fleet.mode is not Mode.CANCEL:
            self.board.note(
                f"no Dask worker with the resource `convert` for {waited:.0f} seconds: the run ends; "
                "start workers with `dask worker … --resources convert=1`, then run again"
            )
            self._feed(Terminated())
