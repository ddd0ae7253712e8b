"""Jobs whose disks are read where they are: the snapshot stays until nothing is read any more."""

from __future__ import annotations

from orchestrator.errors import DisksChangedError
from orchestrator.fleet.admission import Budgets, Candidate
from orchestrator.fleet.machine import Fleet, Terminated, WorkerJoined
from orchestrator.fleet.states import Abandon, Failure, Hold, JobState, Stage, Start, Tick
from orchestrator.fleet.surroundings import Crowded
from tests.orchestrator.fleet.world import FATAL, RULES, TRANSIENT, World

REGISTRY_AWAY = Failure("registry-unavailable", "no answer", retryable=True)
CHANGED = Failure(DisksChangedError.kind, "the snapshot is gone", retryable=True)


def reading() -> World:
    """A world whose one job reads in place."""
    budgets = Budgets(host_disks=2, datastore_snapshots=1)
    jobs = [Candidate("j0", "host-0", 2, ("ds-0",), 2), Candidate("j1", "host-0", 1, ("ds-1",), 1)]
    world = World(Fleet(jobs, budgets, RULES), budgets)
    world.send(WorkerJoined("w0", 2))
    assert at_work(world) == [Stage.SNAPSHOT]
    for _ in range(2):
        world.answer(world.in_flight[0], None, in_place=True)
    return world


def step(world: World, failure: Failure | None = None) -> None:
    """What the job is at ends."""
    world.answer(next(start for start in world.in_flight if start.job == "j0"), failure)


def at_work(world: World) -> list[Stage]:
    return [start.stage for start in world.in_flight if start.job == "j0"]


def test_the_release_follows_the_image() -> None:
    world = reading()
    for stage in (Stage.CONVERT, Stage.PUBLISH, Stage.RELEASE):
        assert at_work(world) == [stage]
        assert "j0" in world.snapshots
        step(world)
    assert world.fleet.jobs["j0"].state is JobState.DONE
    assert "j0" not in world.snapshots


def test_budgets_count_a_vm_for_as_long_as_it_is_read() -> None:
    world = reading()
    usage = world.fleet.usage()
    assert (usage.host_disks["host-0"], usage.datastore_snapshots["ds-0"]) == (2, 1)
    assert [start.job for start in world.in_flight] == ["j0"]  # the host has no disk for the other
    step(world)
    assert {start.job for start in world.in_flight} == {"j0", "j1"}
    assert world.fleet.usage().datastore_snapshots["ds-0"] == 1


def test_a_registry_that_is_away_costs_no_second_snapshot() -> None:
    world = reading()
    step(world, REGISTRY_AWAY)
    assert at_work(world) == []
    world.now = world.fleet.next_tick() or 0.0
    world.send(Tick())
    assert world.in_flight[0] == Start("j0", Stage.CONVERT, 2, "w0")
    assert world.fleet.jobs["j0"].hold is Hold.OPEN


def test_disks_that_are_lost_are_read_from_a_new_snapshot() -> None:
    for stage, failure in ((Stage.CONVERT, TRANSIENT), (Stage.PUBLISH, CHANGED)):
        world = reading()
        while at_work(world) != [stage]:
            step(world)
        step(world, failure)
        assert at_work(world) == [Stage.RELEASE]
        step(world)
        assert world.fleet.jobs["j0"].state is JobState.QUEUED


def test_what_fails_for_good_is_released() -> None:
    world = reading()
    step(world, FATAL)
    assert at_work(world) == [Stage.RELEASE]


def test_reading_ends_before_the_snapshot_is_removed() -> None:
    for event in (Terminated(), Crowded({"ds-0": "nearly full"})):
        world = reading()
        done = world.send(event)
        kinds = [type(one) for one in done if isinstance(one, Abandon | Start)]
        assert kinds[:2] == [Abandon, Start]
        assert at_work(world) == [Stage.RELEASE]


def test_a_full_datastore_does_not_undo_an_image_that_is_on_its_way() -> None:
    world = reading()
    step(world)
    world.send(Crowded({"ds-0": "nearly full"}))
    assert at_work(world) == [Stage.PUBLISH]
