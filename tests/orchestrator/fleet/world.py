"""A world in memory that carries a fleet's instructions out, and complains of what must not be."""

from __future__ import annotations

from collections import Counter

from orchestrator.fleet.admission import Budgets, Candidate, Usage
from orchestrator.fleet.machine import Fleet, FleetEvent
from orchestrator.fleet.states import (
    Abandon,
    Failure,
    Hold,
    Instruction,
    Job,
    JobState,
    Mode,
    Record,
    Rules,
    Stage,
    StageDone,
    StageFailed,
    Start,
    Tick,
)
from orchestrator.fleet.surroundings import Crowded, Leftovers, Moved

RULES = Rules(max_attempts=3, release_limit=3600, backoff_base=5)
TRANSIENT = Failure("stream", "the connection was cut", retryable=True)
FATAL = Failure("no-linux", "no Linux on the disk")
REFUSED = Failure("snapshot-refused", "the datastore is full", untouched=True)
PUT_OFF = Failure("vcenter-busy", "a backup is at work", retryable=True, untouched=True, put_off=True)
GONE = Failure("gone", "the VM is no longer there", untouched=True, gone=True)
_EXPORTING = (Stage.SNAPSHOT, Stage.EXPORT, Stage.DOWNLOAD)
_ON_WORKER = (Stage.DOWNLOAD, Stage.CONVERT)


class World:
    """vCenter, workers and registry, as far as a fleet can tell."""

    def __init__(self, fleet: Fleet, budgets: Budgets) -> None:
        self.fleet = fleet
        self.budgets = budgets
        self.now = 0.0
        self.in_flight: list[Start] = []
        self.snapshots: set[str] = set()
        self.ever_snapshotted: set[str] = set()
        self.published: set[str] = set()
        self.in_place: set[str] = set()
        """Jobs whose disks are read where they are, in the attempt that is under way."""
        self.seen: set[tuple[str, Stage, int]] = set()
        self.finals: dict[str, JobState] = {}
        self.attempts: Counter[str] = Counter()
        self.leftovers = Leftovers()
        self._crowded = Crowded({})
        self._recorded: dict[str, Job] = {}
        self._moved = False

    def send(self, event: FleetEvent) -> tuple[Instruction, ...]:
        """Let something happen, and carry out what comes of it."""
        self._moved |= isinstance(event, Moved)
        match event:
            case Crowded():
                self._crowded = event
            case Leftovers():
                self.leftovers = event
        instructions = self.fleet.handle(event, self.now)
        for instruction in instructions:
            match instruction:
                case Record(job):
                    self._record(job)
                case Start():
                    self._start(instruction)
                case Abandon(job=identifier, attempt=attempt):
                    self.in_flight = [
                        start
                        for start in self.in_flight
                        if start.job != identifier or start.stage not in _ON_WORKER or start.attempt > attempt
                    ]
        self._check(instructions)
        return instructions

    def answer(self, start: Start, failure: Failure | None, in_place: bool = False) -> None:
        """A stage ends, well or in ``failure``; ``in_place`` is how an export lets the disks be read."""
        self.in_flight.remove(start)
        if failure is None or (start.stage is Stage.SNAPSHOT and not failure.untouched):
            # A snapshot whose call failed half-way may be there all the same.
            match start.stage:
                case Stage.SNAPSHOT:
                    self.snapshots.add(start.job)
                    self.ever_snapshotted.add(start.job)
                case Stage.RELEASE:
                    self.snapshots.discard(start.job)
                case Stage.PUBLISH:
                    self.published.add(start.job)
        in_place = in_place and start.stage is Stage.EXPORT
        if failure is None:
            if in_place:
                self.in_place.add(start.job)
            self.send(StageDone(start.job, start.stage, start.attempt, in_place))
        else:
            self.send(StageFailed(start.job, start.stage, start.attempt, failure))

    def finish(self) -> None:
        """Let everything that is in flight end well, and time pass, until every job has ended."""
        for _ in range(10_000):
            if self.fleet.ended and not self.in_flight:
                return
            if self.in_flight:
                self.answer(self.in_flight[0], None)
            elif (tick := self.fleet.next_tick()) is not None:
                self.now = max(self.now, tick)
                self.send(Tick())
            elif self.leftovers.going:
                self.send(Leftovers({}, self.leftovers.staying))
            else:
                self.send(self._crowded)  # datastores are looked at again and again
        raise AssertionError("the fleet never comes to rest")

    def _record(self, job: Job) -> None:
        assert job.id not in self.finals, "a final state changed"
        self._recorded[job.id] = job
        if job.state.final:
            self.finals[job.id] = job.state
            assert (job.state is JobState.DONE) == (job.id in self.published), "not as the registry has it"
            assert job.state is not JobState.FAILED or job.failure is not None, "failed for no reason"
            assert job.state is not JobState.CANCELLED or self.fleet.mode is not Mode.RUN

    def _start(self, start: Start) -> None:
        task = (start.job, start.stage, start.attempt)
        assert task not in self.seen, "the same task twice"
        assert start.job in self._recorded, "begun before it was written down"
        assert start.job not in self.finals, "begun after its end"
        beside = {other.stage for other in self.in_flight if other.job == start.job}
        match start.stage:
            case Stage.RELEASE:
                assert start.job in self.snapshots or start.job in self.ever_snapshotted
                reading = {Stage.CONVERT, Stage.PUBLISH} if start.job in self.in_place else set()
                still = beside & {Stage.SNAPSHOT, Stage.EXPORT, Stage.DOWNLOAD, Stage.RELEASE, *reading}
                assert not still, "released while it is still needed"
            case Stage.SNAPSHOT:
                assert start.job not in self.snapshots, "a second snapshot on one VM"
                assert not beside
                self.in_place.discard(start.job)
                self.attempts[start.job] += 1
            case _:
                assert beside <= {Stage.RELEASE}, "two stages of the main track at once"
        if start.stage in _ON_WORKER:
            assert start.worker in self.fleet.workers
        match self.fleet.mode:
            case Mode.DRAIN:
                assert start.stage is not Stage.SNAPSHOT, "begun while the run drains"
            case Mode.CANCEL:
                assert start.stage is Stage.RELEASE, "begun after the run was cancelled"
            case Mode.RUN:
                pass
        self.seen.add(task)
        self.in_flight.append(start)

    def _check(self, instructions: tuple[Instruction, ...]) -> None:
        for identifier in self.snapshots:
            assert self.fleet.jobs[identifier].hold is not Hold.NONE, "a snapshot that nobody knows of"
        per_worker = Counter(job.worker for job in self.fleet.jobs.values() if job.worker)
        assert all(used <= self.fleet.workers.get(worker, used) for worker, used in per_worker.items())
        counted = [job.attempt - job.put_offs for job in self.fleet.jobs.values() if not job.state.final]
        assert max(counted, default=0) <= RULES.max_attempts
        usage = self._usage()
        begun = {one.job for one in instructions if isinstance(one, Start) and one.stage is Stage.SNAPSHOT}
        # A VM that moves takes what it needs where it comes to; nothing new is begun there then.
        for identifier in begun if self._moved else self.fleet.jobs:
            self._check_budgets(self.fleet.candidates[identifier], usage)
        assert self.budgets.jobs is None or sum(per_worker.values()) <= self.budgets.jobs

    def _usage(self) -> Usage:
        """What of the budgets is taken, as vCenter has it."""
        left = Counter(self.leftovers.going) + Counter(self.leftovers.staying)
        usage = Usage(datastore_snapshots=left)
        making = {start.job for start in self.in_flight if start.stage is Stage.SNAPSHOT}
        for identifier in self.snapshots | making:
            usage.add_snapshot(self.fleet.candidates[identifier])
        for start in self.in_flight:
            if start.stage in _EXPORTING or (start.stage is Stage.CONVERT and start.job in self.in_place):
                usage.add_export(self.fleet.candidates[start.job])
        return usage

    def _check_budgets(self, candidate: Candidate, usage: Usage) -> None:
        candidates = self.fleet.candidates.values()
        alone = max(one.disks for one in candidates if one.host == candidate.host)
        assert usage.host_disks[candidate.host] <= max(self.budgets.host_disks, alone)
        assert usage.vcenter_disks <= max(self.budgets.vcenter_disks, max(one.disks for one in candidates))
        for datastore in candidate.datastores:
            assert usage.datastore_snapshots[datastore] <= self.budgets.datastore_snapshots
        assert all(usage.groups[group] <= 1 for group in candidate.groups)
