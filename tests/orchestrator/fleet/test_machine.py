"""The fleet's machine under the orders of events that matter most."""

from __future__ import annotations

from collections import Counter

import pytest

from orchestrator.fleet.admission import Budgets, Candidate
from orchestrator.fleet.machine import Fleet, FleetEvent, Interrupted, SetAside, Terminated, WorkerJoined
from orchestrator.fleet.states import (
    Abandon,
    Failure,
    Hold,
    JobState,
    Record,
    Stage,
    StageDone,
    Start,
    Tick,
    WorkerLost,
)
from orchestrator.fleet.surroundings import Leftovers
from tests.orchestrator.fleet.world import FATAL, REFUSED, RULES, TRANSIENT, World


def fleet_of(count: int, budgets: Budgets) -> Fleet:
    candidates = (
        Candidate(f"j{n}", f"host-{n % 2}", 1 + n % 3, (f"ds-{n % 2}",), size=n * 10) for n in range(count)
    )
    return Fleet(candidates, budgets, RULES)


def run_until(world: World, stage: Stage, job: str = "j0") -> Start:
    """Answer well until the job's ``stage`` is in flight."""
    while True:
        for start in world.in_flight:
            if (start.job, start.stage) == (job, stage):
                return start
        world.answer(world.in_flight[0], None)


def one_job(*, disks: int = 1) -> World:
    budgets = Budgets()
    world = World(Fleet([Candidate("j0", "host", disks, ("ds",), 1)], budgets, RULES), budgets)
    world.send(WorkerJoined("tcp://w1", 1))
    return world


def test_the_snapshot_is_released_beside_the_conversion() -> None:
    world = one_job()
    world.answer(run_until(world, Stage.DOWNLOAD), None)
    assert {start.stage for start in world.in_flight} == {Stage.CONVERT, Stage.RELEASE}


def test_no_snapshot_is_made_before_there_is_a_worker() -> None:
    fleet = fleet_of(3, Budgets())
    assert fleet.handle(Tick(), 0) == ()
    assert len([i for i in fleet.handle(WorkerJoined("w", 1), 0) if isinstance(i, Start)]) == 1


def test_what_is_written_down_comes_before_what_is_begun() -> None:
    instructions = one_job().send(WorkerJoined("tcp://w2", 1))
    assert instructions == ()
    first, second = fleet_of(1, Budgets()).handle(WorkerJoined("w", 1), 0)
    assert isinstance(first, Record) and first.job.state is JobState.SNAPSHOTTING
    assert second == Start("j0", Stage.SNAPSHOT, 1)


def test_a_failed_conversion_is_repeated_on_the_same_scratch_without_a_second_snapshot() -> None:
    world = one_job()
    convert = run_until(world, Stage.CONVERT)
    world.answer(convert, TRANSIENT)
    world.answer(run_until(world, Stage.RELEASE), None)
    assert world.in_flight == []
    world.now = 5
    world.send(Tick())
    assert world.in_flight == [Start("j0", Stage.CONVERT, 2, convert.worker)]
    world.finish()
    assert world.finals == {"j0": JobState.DONE}
    assert world.attempts["j0"] == 1


def test_a_lost_worker_costs_a_fresh_attempt_with_its_own_snapshot() -> None:
    world = one_job()
    convert = run_until(world, Stage.CONVERT)
    instructions = world.send(WorkerLost(convert.worker))
    assert Abandon("j0", 1, convert.worker) in instructions
    world.send(WorkerJoined("tcp://w2", 1))
    world.finish()
    assert world.finals == {"j0": JobState.DONE}
    assert world.attempts["j0"] == 2


def test_who_is_set_aside_is_not_begun_and_who_is_begun_goes_on() -> None:
    fleet = fleet_of(3, Budgets(jobs=1))
    fleet.handle(WorkerJoined("w", 1), 0)
    (begun,) = [name for name, job in fleet.jobs.items() if job.state is JobState.SNAPSHOTTING]
    assert begun == "j2", "the biggest"
    written = fleet.handle(SetAside(frozenset({"j0", "j2"}), FATAL), 0)
    assert [(i.job.id, i.job.state, i.job.failure) for i in written if isinstance(i, Record)] == [
        ("j0", JobState.FAILED, FATAL)
    ]
    assert not any(isinstance(i, Start) for i in written)
    assert fleet.jobs["j2"].state is JobState.SNAPSHOTTING and fleet.jobs["j1"].state is JobState.QUEUED


def test_the_late_result_of_a_lost_worker_changes_nothing() -> None:
    world = one_job()
    convert = run_until(world, Stage.CONVERT)
    world.send(WorkerLost(convert.worker))
    before = world.fleet.jobs["j0"]
    assert world.send(StageDone("j0", Stage.CONVERT, 1)) == ()
    assert world.fleet.jobs["j0"] == before


def test_a_worker_lost_during_the_snapshot_waits_for_vcenter_before_it_releases() -> None:
    world = one_job()
    snapshot = run_until(world, Stage.SNAPSHOT)
    world.send(WorkerLost("tcp://w1"))
    assert world.in_flight == [snapshot]
    world.answer(snapshot, None)
    assert [start.stage for start in world.in_flight] == [Stage.RELEASE]


def test_a_job_fails_after_its_last_attempt_and_is_released() -> None:
    world = one_job()
    for _ in range(RULES.max_attempts):
        world.answer(run_until(world, Stage.DOWNLOAD), TRANSIENT)
        world.answer(run_until(world, Stage.RELEASE), None)
        world.now += 1000
        world.send(Tick())
    assert world.finals == {"j0": JobState.FAILED}
    assert world.fleet.jobs["j0"].failure == TRANSIENT
    assert not world.snapshots


def test_an_error_that_a_retry_cannot_mend_is_not_retried() -> None:
    world = one_job()
    world.answer(run_until(world, Stage.CONVERT), FATAL)
    world.finish()
    assert world.finals == {"j0": JobState.FAILED}
    assert world.attempts["j0"] == 1


def test_a_refused_snapshot_leaves_nothing_to_release() -> None:
    world = one_job()
    world.answer(run_until(world, Stage.SNAPSHOT), REFUSED)
    assert world.in_flight == []
    assert world.finals == {"j0": JobState.FAILED}


def test_a_snapshot_call_that_failed_half_way_is_followed_by_a_release() -> None:
    world = one_job()
    world.answer(run_until(world, Stage.SNAPSHOT), FATAL)
    assert [start.stage for start in world.in_flight] == [Stage.RELEASE]
    world.finish()
    assert world.finals == {"j0": JobState.FAILED}


def test_a_snapshot_that_cannot_be_removed_is_known_and_keeps_its_budget() -> None:
    budgets = Budgets(datastore_snapshots=1)
    candidates = [Candidate(f"j{n}", "host", 1, ("ds",), 10 - n) for n in range(2)]
    world = World(Fleet(candidates, budgets, RULES), budgets)
    world.send(WorkerJoined("w", 2))
    stuck = Failure("removal", "the file is locked")
    world.answer(run_until(world, Stage.RELEASE), stuck)
    world.finish()
    assert world.fleet.jobs["j0"].hold is Hold.LEFT
    assert world.finals == {"j0": JobState.DONE, "j1": JobState.FAILED}
    failure = world.fleet.jobs["j1"].failure
    assert failure is not None and "sweep" in failure.hint


def test_a_snapshot_that_stays_does_not_hide_why_the_vm_failed() -> None:
    world = one_job()
    world.answer(run_until(world, Stage.CONVERT), FATAL)
    world.answer(run_until(world, Stage.RELEASE), Failure("removal", "the file is locked"))
    assert world.finals == {"j0": JobState.FAILED}
    assert world.fleet.jobs["j0"].hold is Hold.LEFT
    assert world.fleet.jobs["j0"].failure == FATAL


def test_what_earlier_runs_left_takes_of_the_budgets_until_it_is_removed() -> None:
    budgets = Budgets(datastore_snapshots=2)
    world = World(Fleet([Candidate("j0", "host", 1, ("ds",), 1)], budgets, RULES), budgets)
    world.send(Leftovers({"ds": 1}, {"ds": 1}))
    world.send(WorkerJoined("w", 2))
    assert world.in_flight == [], "there is no place, and one may come"
    assert not world.finals
    use = {(one.kind, one.name): one.used for one in world.fleet.budgets()}
    assert use["datastore snapshots", "ds"] == 2
    world.send(Leftovers({}, {"ds": 1}))
    assert [start.job for start in world.in_flight] == ["j0"]
    world.finish()


def test_leftovers_that_stay_make_a_run_fail_whom_they_hold_up() -> None:
    budgets = Budgets(datastore_snapshots=1)
    world = World(Fleet([Candidate("j0", "host", 1, ("ds",), 1)], budgets, RULES), budgets)
    world.send(Leftovers({"ds": 1}))
    world.send(WorkerJoined("w", 2))
    world.send(Leftovers({}, {"ds": 1}))
    assert world.finals == {"j0": JobState.FAILED}
    failure = world.fleet.jobs["j0"].failure
    assert failure is not None and failure.kind == "datastore-budget"


@pytest.mark.parametrize(
    "failure",
    [
        Failure("removal", "another task is in progress", retryable=True),
        Failure("vcenter", "vCenter answers 404 Not Found"),
        Failure("internal", "internal error: KeyError: 'snapshot'"),
    ],
    ids=lambda failure: failure.kind,
)
def test_a_removal_is_tried_again_before_it_is_given_up(failure: Failure) -> None:
    world = one_job()
    first = world.now
    while world.fleet.jobs["j0"].hold is not Hold.LEFT:
        world.answer(run_until(world, Stage.RELEASE), failure)
        world.now = world.fleet.next_tick() or world.now
        world.send(Tick())
    assert RULES.release_limit <= world.now - first < RULES.release_limit + RULES.backoff_limit
    tries = len([stage for _, stage, _ in world.seen if stage is Stage.RELEASE])
    assert tries == 18  # after 5, 10, 20… seconds, then every five minutes


def test_one_interrupt_ends_what_is_begun_and_begins_nothing() -> None:
    budgets = Budgets()
    world = World(fleet_of(3, budgets), budgets)
    world.send(WorkerJoined("w", 1))
    world.send(Interrupted())
    world.finish()
    assert Counter(world.finals.values()) == {JobState.DONE: 1, JobState.CANCELLED: 2}


@pytest.mark.parametrize("stage", [Stage.SNAPSHOT, Stage.EXPORT, Stage.DOWNLOAD, Stage.CONVERT])
@pytest.mark.parametrize("stop", [(Interrupted(), Interrupted()), (Terminated(),)], ids=["twice", "SIGTERM"])
def test_a_cancelled_job_is_released_at_every_stage(stage: Stage, stop: tuple[FleetEvent, ...]) -> None:
    world = one_job()
    run_until(world, stage)
    for event in stop:
        world.send(event)
    world.finish()
    assert world.finals == {"j0": JobState.CANCELLED}
    assert world.ever_snapshotted == {"j0"} and not world.snapshots


def test_a_manifest_on_its_way_is_waited_for() -> None:
    world = one_job()
    publish = run_until(world, Stage.PUBLISH)
    world.send(Terminated())
    world.answer(publish, None)
    world.finish()
    assert world.finals == {"j0": JobState.DONE}
