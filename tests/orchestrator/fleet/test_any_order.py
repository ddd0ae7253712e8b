"""The fleet's machine under any order of events: budgets hold, no job is lost, no snapshot stays."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from orchestrator.fleet.admission import Budgets, Candidate
from orchestrator.fleet.machine import Fleet, Interrupted, SetAside, Terminated, WorkerJoined
from orchestrator.fleet.states import (
    Failure,
    Hold,
    JobState,
    Stage,
    StageDone,
    StageFailed,
    Tick,
    WorkerLost,
)
from orchestrator.fleet.surroundings import Crowded, Leftovers, Moved
from orchestrator.vsphere.values import HostInfo, Placement
from tests.orchestrator.fleet.world import FATAL, GONE, PUT_OFF, REFUSED, RULES, TRANSIENT, World

NUMBERS = st.integers(0, 1)
DATASTORES = st.sets(st.sampled_from(("ds-0", "ds-1"))).map(lambda names: dict.fromkeys(names, "full"))
AT_FIRST = (FATAL, TRANSIENT, REFUSED, PUT_OFF, GONE)
"""How a snapshot's making may fail."""
LATER = (FATAL, TRANSIENT)
HOST_GONE = Failure("host", "no worker reaches the host")


def candidate(number: int, disks: int) -> Candidate:
    groups = frozenset({"cluster"} if number % 3 == 0 else ())
    return Candidate(f"j{number}", f"host-{number % 2}", disks, (f"ds-{number % 2}",), disks * 10, groups)


class AnyOrder(RuleBasedStateMachine):
    """Whatever can happen to a run, in any order; the world it happens in has the invariants."""

    world: World

    @initialize(
        disks=st.lists(st.integers(1, 4), min_size=2, max_size=8),
        jobs=st.none() | st.integers(1, 3),
        slots=st.integers(0, 3),
        left=st.integers(0, 2),
    )
    def begin(self, disks: list[int], jobs: int | None, slots: int, left: int) -> None:
        budgets = Budgets(host_disks=3, vcenter_disks=5, datastore_snapshots=2, jobs=jobs)
        candidates = (candidate(number, count) for number, count in enumerate(disks))
        self.world = World(Fleet(candidates, budgets, RULES), budgets)
        self.joined = 0
        if left:
            self.world.send(Leftovers({"ds-0": left}))
        if slots:
            self.join(slots)

    def in_flight(self) -> bool:
        return bool(self.world.in_flight)

    @precondition(in_flight)
    @rule(data=st.data(), in_place=st.booleans())
    def end_well(self, data: st.DataObject, in_place: bool) -> None:
        self.world.answer(data.draw(st.sampled_from(self.world.in_flight)), None, in_place)

    @precondition(in_flight)
    @rule(data=st.data(), in_place=st.booleans())
    def end_well_too(self, data: st.DataObject, in_place: bool) -> None:
        """Twice as often as other things, so that jobs come far."""
        self.end_well(data, in_place)

    @precondition(in_flight)
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        start = data.draw(st.sampled_from(self.world.in_flight))
        failures = AT_FIRST if start.stage is Stage.SNAPSHOT else LATER
        self.world.answer(start, data.draw(st.sampled_from(failures)))

    @precondition(lambda self: self.world.seen)
    @rule(data=st.data(), well=st.booleans())
    def hear_of_it_late(self, data: st.DataObject, well: bool) -> None:
        """A task of which nothing is expected any more tells its end, or tells it twice."""
        at_work = {(start.job, start.stage, start.attempt) for start in self.world.in_flight}
        if over := sorted(self.world.seen - at_work):
            job, stage, attempt = data.draw(st.sampled_from(over))
            self.world.send(
                StageDone(job, stage, attempt) if well else StageFailed(job, stage, attempt, FATAL)
            )

    @precondition(lambda self: self.joined < 5)
    @rule(slots=st.integers(1, 3))
    def join(self, slots: int) -> None:
        self.joined += 1
        self.world.send(WorkerJoined(f"w{self.joined}", slots))

    @precondition(lambda self: self.world.fleet.workers)
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        self.world.send(WorkerLost(data.draw(st.sampled_from(sorted(self.world.fleet.workers)))))

    @rule(seconds=st.floats(0, 400))
    def wait(self, seconds: float) -> None:
        self.world.now += seconds
        self.world.send(Tick())

    @rule(data=st.data(), host=NUMBERS, datastore=NUMBERS)
    def move(self, data: st.DataObject, host: int, datastore: int) -> None:
        job = data.draw(st.sampled_from(sorted(self.world.fleet.jobs)))
        there = HostInfo(f"host-{host}", f"host-{host}", 2000)
        self.world.send(Moved(job, Placement(job, "vm", there, (f"ds-{datastore}",))))

    @rule(datastores=DATASTORES)
    def crowd(self, datastores: dict[str, str]) -> None:
        self.world.send(Crowded(datastores))

    @precondition(lambda self: self.world.leftovers.going)
    @rule(stays=st.booleans())
    def see_to_a_leftover(self, stays: bool) -> None:
        """Of an earlier run: it is removed, or stays."""
        left, staying = self.world.leftovers.going["ds-0"] - 1, Counter(self.world.leftovers.staying)
        staying.update({"ds-0": int(stays)})
        self.world.send(Leftovers({"ds-0": left} if left else {}, staying))

    @precondition(lambda self: len(self.world.seen) > 8)
    @rule(data=st.data())
    def set_aside(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(sorted(self.world.fleet.jobs)))
        self.world.send(SetAside(frozenset({job}), HOST_GONE))

    @precondition(lambda self: len(self.world.seen) > 8)
    @rule(event=st.sampled_from([Interrupted(), Interrupted(), Terminated()]))
    def interrupt(self, event: Interrupted | Terminated) -> None:
        self.world.send(event)

    def teardown(self) -> None:
        """With a worker and some time every job ends, and only snapshots that are known of stay."""
        if not hasattr(self, "world"):
            return
        world = self.world
        world.send(WorkerJoined("last", 2))
        world.finish()
        assert set(world.finals) == set(world.fleet.jobs)
        left = {job for job, state in world.fleet.jobs.items() if state.hold is Hold.LEFT}
        assert world.snapshots <= left
        assert world.fleet.usage().jobs == 0
        assert {job for job, state in world.finals.items() if state is JobState.DONE} == world.published


class AnyOrderAtLength(AnyOrder):
    """The same, five thousand times."""


AnyOrder.TestCase.settings = settings(max_examples=300, stateful_step_count=60, deadline=None)
AnyOrderAtLength.TestCase.settings = settings(max_examples=5000, stateful_step_count=60, deadline=None)
TestAnyOrder = AnyOrder.TestCase
TestAnyOrderAtLength = pytest.mark.long(AnyOrderAtLength.TestCase)
