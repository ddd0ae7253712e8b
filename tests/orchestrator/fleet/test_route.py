"""Jobs whose disks are files: vCenter is asked for nothing, so there is nothing to release."""

from __future__ import annotations

from orchestrator.fleet.admission import Budgets, Candidate
from orchestrator.fleet.machine import Fleet, Terminated, WorkerJoined
from orchestrator.fleet.states import Hold, JobState, Route, Stage, Start, Tick, WorkerLost
from tests.orchestrator.fleet.world import FATAL, RULES, TRANSIENT, World

WORKER = WorkerJoined("tcp://w1", 1)


def world() -> World:
    budgets = Budgets()
    job = Candidate("j0", "", 0, (), 1, route=Route.FILES)
    made = World(Fleet([job], budgets, RULES), budgets)
    made.send(WORKER)
    return made


def state(world: World) -> JobState:
    return world.fleet.jobs["j0"].state


def stages(world: World) -> list[Stage]:
    return [start.stage for start in world.in_flight]


def test_from_the_files_to_the_image() -> None:
    files = world()
    for stage in (Stage.DOWNLOAD, Stage.CONVERT, Stage.PUBLISH):
        assert stages(files) == [stage]
        files.answer(files.in_flight[0], None)
    assert stages(files) == []
    job = files.fleet.jobs["j0"]
    assert (job.state, job.hold, job.releases) == (JobState.DONE, Hold.NONE, 0)
    assert files.ever_snapshotted == set()


def test_what_fails_is_tried_again_and_nothing_is_released() -> None:
    files = world()
    files.answer(files.in_flight[0], TRANSIENT)
    assert state(files) is JobState.QUEUED
    files.now = files.fleet.next_tick() or 0.0
    files.send(Tick())
    assert files.in_flight == [Start("j0", Stage.DOWNLOAD, 2, "tcp://w1")]
    files.answer(files.in_flight[0], FATAL)
    assert state(files) is JobState.FAILED
    assert stages(files) == []


def test_a_lost_worker_costs_an_attempt() -> None:
    files = world()
    files.answer(files.in_flight[0], None)
    files.send(WorkerLost("tcp://w1"))
    assert state(files) is JobState.QUEUED
    assert Stage.RELEASE not in stages(files)


def test_cancelling_leaves_nothing_to_undo() -> None:
    files = world()
    files.send(Terminated())
    assert state(files) is JobState.CANCELLED
    assert files.fleet.ended
