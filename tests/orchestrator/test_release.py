"""Removals that hang or are refused, in a whole run: the other VMs go on as far as budgets allow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.demo import guests
from deploy.demo.fleet import Datacenter, Datastore, Disk, Fleet, Machine
from deploy.demo.registry import Registry, registry
from deploy.demo.simulator import Rule, Simulator
from orchestrator import clock
from orchestrator.cluster import ClusterSettings
from orchestrator.fleet.admission import Budgets
from orchestrator.fleet.select import Selection
from orchestrator.fleet.states import JobState, Rules, Stage
from orchestrator.fleet.view import JobView, StageTime
from orchestrator.ledger import Ledger
from orchestrator.sweep import sweep
from orchestrator.terms import Patience
from orchestrator.vsphere.marker import Marker
from orchestrator.vsphere.values import QuiescePolicy
from tests.conftest import StartSimulator
from tests.orchestrator.fleet_run import DATACENTER, Place, prepared, vcenter

HANGS = Rule("RemoveSnapshot_Task", stage="task", delay_ms=6000)
BIG = 6 << 20
"""Admitted first."""


@pytest.fixture
def simulator(start_simulator: StartSimulator) -> Iterator[Simulator]:
    big, small = Disk(path=str(guests.small("big", BIG).vmdk)), Disk(path=str(guests.small("little").vmdk))
    machines = (
        Machine("first", datastore="busy", disks=(big,)),
        Machine("second", datastore="busy", disks=(big,)),
        Machine("third", datastore="busy", disks=(small,)),
        Machine("free", datastore="idle", disks=(small,)),
        Machine("stuck", datastore="idle", disks=(small,)),
    )
    stores = (Datastore("busy"), Datastore("idle"))
    started = start_simulator(Fleet((Datacenter(DATACENTER, datastores=stores, vms=machines),)))
    yield started
    assert started.snapshots() == []
    assert started.sessions() == []


@pytest.fixture(scope="module")
def images() -> Iterator[Registry]:
    with registry() as running:
        yield running


def time_of(job: JobView, stage: Stage) -> StageTime:
    """The stage's last run."""
    return [time for time in job.stages if time.stage is stage][-1]


def test_removals_that_hang_and_one_that_is_refused(
    simulator: Simulator, images: Registry, tmp_path: Path
) -> None:
    for name in ("first", "second"):
        simulator.inject(Rule(HANGS.method, HANGS.stage, name, delay_ms=HANGS.delay_ms))
    simulator.inject(Rule(HANGS.method, HANGS.stage, "stuck", "GenericVmConfigFault"))
    place = Place.of(simulator, f"{images.address}/release", tmp_path)
    one_thread = ClusterSettings(workers=1, memory="1GiB", scratch=str(place.scratch), resident_threads=1)
    with prepared(
        place,
        cluster=one_thread,
        budgets=Budgets(datastore_snapshots=2),
        rules=Rules(backoff_base=0.2, release_limit=1.0),
    ) as run:
        jobs = {job.vm: job for job in run.execute().jobs}

    assert {job.state for job in jobs.values()} == {JobState.DONE}
    removed = {name: time_of(job, Stage.RELEASE).ended or 0.0 for name, job in jobs.items()}
    asked = {name: time_of(job, Stage.SNAPSHOT).started for name, job in jobs.items()}
    hanging = min(removed["first"], removed["second"])
    assert asked["free"] < hanging and removed["free"] < hanging, "a thread was in the way"
    assert asked["third"] >= hanging, "the datastore's budget is in the way"

    stuck = jobs["stuck"]
    assert stuck.snapshot_left
    assert len(stuck.errors) > 2
    assert {(error.stage, error.kind) for error in stuck.errors} == {(Stage.RELEASE, "removal")}
    assert "of stuck is not removed: GenericVmConfigFault" in stuck.errors[-1].message
    assert "open for 0 minutes on idle" in stuck.errors[-1].message
    assert "Manage Snapshots" in stuck.errors[-1].hint and "govc snapshot.remove" in stuck.errors[-1].hint

    simulator.reset()
    with vcenter(place) as connected, Ledger(place.ledger) as ledger:
        assert [snapshot.vm_name for snapshot in sweep(connected, ledger).removed] == ["stuck"]
        assert ledger.open_snapshots() == ()


def test_a_snapshot_that_a_killed_run_left_takes_of_the_next_ones_budget(
    simulator: Simulator, images: Registry, tmp_path: Path
) -> None:
    place = Place.of(simulator, f"{images.address}/leftovers", tmp_path)
    with vcenter(place) as connected, Ledger(place.ledger) as ledger:
        vms = {vm.name: vm for vm in connected.inventory(DATACENTER).vms}
        dead = ledger.begin_run(connected.about().instance_uuid, f"/{DATACENTER}")
        marker = Marker(ledger.id, dead.id, "first", 1e9)
        connected.create_snapshot(vms["first"].moref, marker, QuiescePolicy.NEVER)
        dead.end("died")
    simulator.inject(replace(HANGS, object="first"))
    with prepared(
        place,
        selection=Selection(include=("third", "free")),
        cluster=ClusterSettings(workers=2, memory="1GiB", scratch=str(place.scratch)),
        budgets=Budgets(datastore_snapshots=1),
        patience=Patience(grace=60.0, heartbeat=1.0, sweep=0.1),
    ) as run:
        begun = clock.now()
        jobs = {job.vm: job for job in run.execute().jobs}
    assert {job.state for job in jobs.values()} == {JobState.DONE}
    asked = {name: time_of(job, Stage.SNAPSHOT).started - begun for name, job in jobs.items()}
    assert asked["third"] >= HANGS.delay_ms / 1000, "the datastore's budget is in the way"
