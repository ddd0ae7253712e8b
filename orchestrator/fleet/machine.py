"""The whole fleet's jobs, and who is begun next: events in, instructions out. Pure: no clock, no network.

It owns the slots: a job keeps one convert slot of one worker from its admission until its conversion ends, so
a snapshot is never made for a VM that nobody can read yet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import assert_never

from orchestrator.fleet.admission import Budgets, Candidate, Usage, admit
from orchestrator.fleet.states import (
    Admitted,
    Cancel,
    Drain,
    Evicted,
    Failure,
    Hold,
    Instruction,
    Job,
    JobEvent,
    JobState,
    Mode,
    Record,
    Rules,
    Stage,
    StageDone,
    StageFailed,
    Tick,
    WorkerLost,
)
from orchestrator.fleet.steps import advance
from orchestrator.fleet.surroundings import Crowded, Leftovers, Moved, no_room
from orchestrator.fleet.view import BudgetUse


@dataclass(frozen=True, slots=True)
class WorkerJoined:
    """A Dask worker that can convert ``slots`` VMs at one time."""

    worker: str
    slots: int


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A person asks to stop: the first time it drains, the second it cancels."""


@dataclass(frozen=True, slots=True)
class Terminated:
    """The system asks to stop: cancel at once."""


@dataclass(frozen=True, slots=True)
class SetAside:
    """Something keeps these jobs from being begun in this run; those that are begun go on."""

    jobs: frozenset[str]
    failure: Failure


FleetEvent = (
    StageDone
    | StageFailed
    | WorkerJoined
    | WorkerLost
    | SetAside
    | Moved
    | Crowded
    | Leftovers
    | Interrupted
    | Terminated
    | Tick
)

_EXPORTING = (Stage.SNAPSHOT, Stage.EXPORT, Stage.DOWNLOAD)


class Fleet:
    """All jobs of a run. ``handle`` is the only thing that changes it."""

    def __init__(self, candidates: Iterable[Candidate], budgets: Budgets, rules: Rules) -> None:
        self.candidates = {candidate.job: candidate for candidate in candidates}
        self.jobs = {job: Job(job, route=one.route) for job, one in self.candidates.items()}
        self.workers: dict[str, int] = {}
        """Convert slots by worker."""
        self.mode = Mode.RUN
        self._budgets = budgets
        self._rules = rules
        # Begun and not over, or left behind with a snapshot: few, where all jobs may be thousands.
        self._active: dict[str, None] = {}
        self._retrying: dict[str, None] = {}
        self._queued: dict[str, None] = dict.fromkeys(self.jobs)
        self._crowded: Mapping[str, str] = {}
        self._leftovers = Leftovers()

    def handle(self, event: FleetEvent, now: float) -> tuple[Instruction, ...]:
        """What has to be done after the event, in this order; ``now`` as in ``steps.advance``."""
        instructions: list[Instruction] = []
        match event:
            case StageDone() | StageFailed():
                instructions += self._advance(event.job, event, now)
            case WorkerJoined(worker, slots):
                self.workers[worker] = slots
            case WorkerLost(worker):
                self.workers.pop(worker, None)
                instructions += self._advance_all(self._active, event, now)
            case SetAside(jobs, failure):
                instructions += [self._set_aside(job, failure) for job in sorted(jobs & self._queued.keys())]
            case Moved(job, placement):
                self.candidates[job] = replace(
                    self.candidates[job], host=placement.host_name, datastores=placement.datastores
                )
            case Crowded(datastores):
                self._crowded = datastores
                instructions += self._make_room(now)
            case Leftovers():
                self._leftovers = event
            case Interrupted():
                instructions += self._stop(Mode.DRAIN if self.mode is Mode.RUN else Mode.CANCEL, now)
            case Terminated():
                instructions += self._stop(Mode.CANCEL, now)
            case Tick():
                instructions += self._advance_all((*self._active, *self._retrying), event, now)
            case _:
                assert_never(event)
        if self.mode is Mode.RUN:
            instructions += self._admit(now)
        return tuple(instructions)

    @property
    def ended(self) -> bool:
        """Whether every job is in a final state."""
        return not self._queued and all(self.jobs[job].state.final for job in self._active)

    def next_tick(self) -> float | None:
        """When ``Tick`` has something to do next; None: not before another event."""
        times = [
            time
            for job in (*self._active, *self._retrying)
            for time in (self.jobs[job].due, self.jobs[job].release_due)
            if time is not None
        ]
        return min(times, default=None)

    def foremost(self, count: int) -> list[str]:
        """The jobs at work, then those whose turn comes first: ``count`` at most. From any thread."""
        queued = sorted(self._queued, key=lambda job: -self.candidates[job].size)
        return [*tuple(self._active), *queued][:count]

    def usage(self) -> Usage:
        """What the jobs, and what earlier runs left, take of the budgets now."""
        there = (self._leftovers.going, self._leftovers.staying)
        usage = Usage(datastore_snapshots=sum(map(Counter, there), Counter()))
        for identifier in self._active:
            job, candidate = self.jobs[identifier], self.candidates[identifier]
            usage.jobs += bool(job.worker)
            if job.stage in _EXPORTING or job.reads_in_place:
                usage.add_export(candidate)
            if job.hold is not Hold.NONE:
                usage.add_snapshot(candidate)
        return usage

    def budgets(self) -> tuple[BudgetUse, ...]:
        """The same for people, those budgets that are in use."""
        usage, limits = self.usage(), self._budgets
        slots = sum(self.workers.values())
        limit = slots if limits.jobs is None else min(slots, limits.jobs)
        return (
            BudgetUse("slots", "", usage.jobs, limit),
            BudgetUse("vcenter disks", "", usage.vcenter_disks, limits.vcenter_disks),
            *(
                BudgetUse("host disks", host, used, limits.host_disks)
                for host, used in sorted(usage.host_disks.items())
            ),
            *(
                BudgetUse("datastore snapshots", datastore, used, limits.datastore_snapshots)
                for datastore, used in sorted(usage.datastore_snapshots.items())
            ),
        )

    def _advance(self, identifier: str, event: JobEvent, now: float) -> tuple[Instruction, ...]:
        job, instructions = advance(self.jobs[identifier], event, now, self._rules, self.mode)
        self.jobs[identifier] = job
        self._queued.pop(identifier, None)
        self._active.pop(identifier, None)
        self._retrying.pop(identifier, None)
        if job.state is JobState.QUEUED:
            self._queued[identifier] = None
            if job.due is not None:
                self._retrying[identifier] = None
        elif not job.state.final or job.hold is Hold.LEFT:
            self._active[identifier] = None
        return instructions

    def _advance_all(self, jobs: Iterable[str], event: JobEvent, now: float) -> list[Instruction]:
        return [done for job in tuple(jobs) for done in self._advance(job, event, now)]

    def _stop(self, mode: Mode, now: float) -> list[Instruction]:
        self.mode = mode
        event: JobEvent = Drain() if mode is Mode.DRAIN else Cancel()
        return self._advance_all((*self._queued, *self._active), event, now)

    def _admit(self, now: float) -> list[Instruction]:
        free = self._free_slots()
        if not free or not self._queued:
            return []
        ready = [
            self.candidates[job]
            for job in self._queued
            if job not in self._retrying and not self._crowding(job)
        ]
        admitted = admit(ready, self.usage(), self._budgets, sum(free.values()))
        instructions: list[Instruction] = []
        for candidate in admitted:
            worker = max(sorted(free), key=lambda address: free[address])
            free[worker] -= 1
            instructions += self._advance(candidate.job, Admitted(worker), now)
        if ready and not admitted and self._idle:
            instructions += self._give_up(ready)
        return instructions

    @property
    def _idle(self) -> bool:
        """Whether nothing goes on whose end would give budgets or room back."""
        return not self._leftovers.going and all(self.jobs[job].state.final for job in self._active)

    def _free_slots(self) -> dict[str, int]:
        free = dict(self.workers)
        for job in self._active:
            worker = self.jobs[job].worker
            if worker in free:
                free[worker] -= 1
        return {worker: slots for worker, slots in free.items() if slots > 0}

    def _crowding(self, identifier: str) -> str:
        """What is said of the first of the job's datastores without room; empty when all have some."""
        return next(filter(None, map(self._crowded.get, self.candidates[identifier].datastores)), "")

    def _make_room(self, now: float) -> list[Instruction]:
        """End what has a snapshot open on a datastore without room.

        A run does not idle for room: when nothing but its absence holds up the jobs that are left, they fail.
        """
        instructions: list[Instruction] = []
        for identifier in tuple(self._active):
            if reason := self._crowding(identifier):
                instructions += self._advance(identifier, Evicted(no_room(reason)), now)
        if self._idle and not self._retrying and self.workers and all(map(self._crowding, self._queued)):
            instructions += [
                self._set_aside(job, no_room(self._crowding(job))) for job in tuple(self._queued)
            ]
        return instructions

    def _give_up(self, blocked: Iterable[Candidate]) -> list[Instruction]:
        """Nothing is in work, and they still do not fit: snapshots left behind use up the budgets."""
        instructions: list[Instruction] = []
        for candidate in blocked:
            stores = ", ".join(candidate.datastores)
            failure = Failure(
                "datastore-budget",
                f"no snapshot is made on {stores}: snapshots that could not be removed use up its budget",
                "remove them (`orchestrate sweep`), then run again",
            )
            instructions.append(self._set_aside(candidate.job, failure))
        return instructions

    def _set_aside(self, identifier: str, failure: Failure) -> Record:
        """A queued job is not begun in this run."""
        job = replace(self.jobs[identifier], state=JobState.FAILED, due=None, failure=failure)
        self.jobs[identifier] = job
        del self._queued[identifier]
        self._retrying.pop(identifier, None)
        return Record(job)
