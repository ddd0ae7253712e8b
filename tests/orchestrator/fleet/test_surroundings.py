"""VMs that move, and datastores that fill up, while a run goes on."""

from __future__ import annotations

import pytest

from orchestrator.fleet.admission import Budgets, Candidate
from orchestrator.fleet.machine import Fleet, WorkerJoined
from orchestrator.fleet.states import (
    Abandon,
    Hold,
    Instruction,
    JobState,
    Rules,
    Stage,
    StageDone,
    Start,
    Tick,
)
from orchestrator.fleet.surroundings import Crowded, Moved, crowded
from orchestrator.vsphere.values import DatastoreInfo, HostInfo, Placement

FULL = {"ds-0": "datastore ds-0 has 3.0% free; the limit is 10%"}


def store(free: int, name: str = "ds-0", accessible: bool = True) -> DatastoreInfo:
    return DatastoreInfo("datastore-1", name, 1000, free, accessible)


@pytest.mark.parametrize(
    ("before", "free", "full"),
    [({}, 100, False), ({}, 99, True), (FULL, 119, True), (FULL, 120, False), ({"ds-9": "full"}, 100, False)],
)
def test_a_datastore_that_fell_below_its_limit_needs_more_to_be_used_again(
    before: dict[str, str], free: int, full: bool
) -> None:
    found = crowded(before, [store(free)], 0.1)
    assert ("ds-0" in found) is full
    assert found.keys() >= before.keys() - {"ds-0"}


def test_a_datastore_that_is_away_tells_nothing_new() -> None:
    assert crowded({}, [store(0, accessible=False)], 0.1) == {}
    assert crowded(FULL, [store(900, accessible=False)], 0.1) == FULL


def begun(*jobs: str, slots: int = 9, **budgets: int) -> Fleet:
    """A fleet of VMs on datastores and hosts that their names tell, as many begun as may be."""
    candidates = [Candidate(job, f"host-{job[-1]}", 1, (f"ds-{job[-1]}",), 10) for job in jobs]
    fleet = Fleet(candidates, Budgets(**budgets), Rules(put_off_pause=60))
    fleet.handle(WorkerJoined("w", slots), 0.0)
    return fleet


def reach(fleet: Fleet, job: str, stage: Stage) -> None:
    """Let the job's stages before ``stage`` end well."""
    for before in (Stage.SNAPSHOT, Stage.EXPORT, Stage.DOWNLOAD):
        if before is stage:
            return
        fleet.handle(StageDone(job, before, fleet.jobs[job].attempt), 1.0)


def release(fleet: Fleet, job: str) -> None:
    fleet.handle(StageDone(job, Stage.RELEASE, fleet.jobs[job].releases), 2.0)


@pytest.mark.parametrize("stage", [Stage.SNAPSHOT, Stage.EXPORT, Stage.DOWNLOAD])
def test_a_snapshot_on_a_datastore_that_fills_up_is_released_at_once(stage: Stage) -> None:
    fleet = begun("a0", "b1")
    reach(fleet, "a0", stage)
    told: tuple[Instruction, ...] = fleet.handle(Crowded(FULL), 1.0)
    if stage is Stage.DOWNLOAD:
        assert Abandon("a0", 1, "w") in told
    else:  # vCenter is at work on it: a release before its answer could miss the snapshot
        told = fleet.handle(StageDone("a0", stage, 1), 1.0)
    assert Start("a0", Stage.RELEASE, 1) in told
    release(fleet, "a0")
    assert (fleet.jobs["a0"].state, fleet.jobs["a0"].hold) == (JobState.QUEUED, Hold.NONE)
    assert fleet.jobs["a0"].put_offs == 1
    assert fleet.jobs["b1"].state is JobState.SNAPSHOTTING


def test_what_is_on_scratch_already_is_converted() -> None:
    fleet = begun("a0")
    reach(fleet, "a0", Stage.CONVERT)
    assert fleet.handle(Crowded(FULL), 1.0) == ()
    assert (fleet.jobs["a0"].state, fleet.jobs["a0"].hold) == (JobState.CONVERTING, Hold.CLOSING)


def test_no_snapshot_is_opened_there_until_there_is_room() -> None:
    fleet = begun("a0", "b0", datastore_snapshots=1)
    reach(fleet, "a0", Stage.DOWNLOAD)
    fleet.handle(Crowded(FULL), 1.0)
    release(fleet, "a0")
    assert fleet.jobs["b0"].state is JobState.QUEUED
    assert Start("b0", Stage.SNAPSHOT, 1) in fleet.handle(Crowded({}), 30.0)


def test_a_run_does_not_idle_for_room() -> None:
    fleet = begun("a0", "b0", "c1", datastore_snapshots=1)
    reach(fleet, "a0", Stage.DOWNLOAD)
    fleet.handle(Crowded(FULL), 1.0)
    release(fleet, "a0")
    fleet.handle(Crowded(FULL), 30.0)
    assert not fleet.jobs["b0"].state.final  # c1 is at work yet, and room may come
    reach(fleet, "c1", Stage.CONVERT)
    fleet.handle(StageDone("c1", Stage.CONVERT, 1), 40.0)
    fleet.handle(StageDone("c1", Stage.PUBLISH, 1), 41.0)
    fleet.handle(StageDone("c1", Stage.RELEASE, 1), 42.0)
    assert fleet.next_tick() == 61.0
    fleet.handle(Tick(), 61.0)
    fleet.handle(Crowded(FULL), 90.0)
    assert fleet.ended
    for job in ("a0", "b0"):
        failure = fleet.jobs[job].failure
        assert failure is not None and failure.kind == "datastore-full"
        assert "ds-0 has 3.0% free" in failure.message
    assert fleet.jobs["c1"].state is JobState.DONE


def test_budgets_count_the_place_where_a_vm_is_now() -> None:
    fleet = begun("a0", "b0", "c1", host_disks=1)
    assert fleet.jobs["b0"].state is JobState.QUEUED
    elsewhere = Placement("vm-2", "b", HostInfo("host-9", "host-9", 2000), ("ds-9",))
    assert Start("b0", Stage.SNAPSHOT, 1) in fleet.handle(Moved("b0", elsewhere), 1.0)
    assert fleet.usage().host_disks == {"host-0": 1, "host-1": 1, "host-9": 1}
    assert fleet.usage().datastore_snapshots == {"ds-0": 1, "ds-1": 1, "ds-9": 1}
