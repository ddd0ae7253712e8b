"""A run over VMs that others back up, move, rename, delete and fill the datastore of, all at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from pyVmomi import vim

from deploy.demo import guests
from deploy.demo.fleet import Cluster, Datacenter, Datastore, Disk, Fleet, Host, Machine, UserSnapshot
from deploy.demo.registry import registry
from deploy.demo.simulator import Download, Simulator
from orchestrator.cluster import ClusterSettings
from orchestrator.fleet.select import Selection
from orchestrator.fleet.states import JobState, Rules, Stage
from orchestrator.fleet.view import JobView
from orchestrator.ledger import Ledger
from orchestrator.run import Run
from orchestrator.terms import Patience
from orchestrator.vsphere import tasks
from orchestrator.vsphere.session import Session, connect
from orchestrator.vsphere.settings import VCenterSettings
from tests.conftest import StartSimulator
from tests.orchestrator.fleet_run import DATACENTER, Place, prepared
from tests.waiting import until

VEEAM = "VEEAM BACKUP TEMPORARY SNAPSHOT"
PATIENCE = 30.0
TIB = 1 << 40


@pytest.fixture
def simulator(new_simulator: StartSimulator) -> Simulator:
    disk = (Disk(path=str(guests.small("little").vmdk)),)
    large = (Disk(path=str(guests.small("big", 6 << 20).vmdk)),)
    vms = (
        Machine("backed-up", host="esx-0", datastore="calm", disks=disk, snapshots=(UserSnapshot(VEEAM),)),
        Machine("deleted", host="esx-0", datastore="calm", power="poweredOff", disks=disk),
        Machine("renamed", host="esx-0", datastore="calm", disks=disk),
        Machine("crowded", host="esx-1", datastore="busy", disks=large),
        Machine("with-data", host="esx-1", datastore="calm", disks=(*disk, Disk(capacity=2 * TIB))),
    )
    hosts = (Host("esx-0", 2000), Host("esx-1", 3000))
    stores = (Datastore("calm", TIB, TIB // 2), Datastore("busy", TIB, TIB // 2))
    return new_simulator(
        Fleet(
            (Datacenter(DATACENTER, datastores=stores, clusters=(Cluster("C0", "medium", hosts),), vms=vms),)
        )
    )


@pytest.fixture
def place(simulator: Simulator, tmp_path: Path) -> Iterator[Place]:
    with registry() as images:
        yield Place.of(simulator, f"{images.address}/living", tmp_path)


@pytest.fixture
def administrator(simulator: Simulator) -> Iterator[Session]:
    """Somebody else at the same vCenter."""
    password = SecretStr(simulator.password)
    settings = VCenterSettings.parse(
        simulator.url, simulator.username, password, ca_file=str(simulator.ca_file)
    )
    with connect(settings) as session:
        yield session


@contextmanager
def beside(run: Run, others: Callable[[Callable[[str], JobView]], None]) -> Iterator[None]:
    """What others do while the block runs, in a thread; they are given what is to be seen of a VM."""

    def seen(name: str) -> JobView:
        until(lambda: run.view().jobs, PATIENCE)
        return next(job for job in run.view().jobs if job.vm == name)

    def act() -> None:
        try:
            others(seen)
        except BaseException:
            os.kill(os.getpid(), signal.SIGTERM)  # the run would wait for what does not come
            raise

    with ThreadPoolExecutor(1) as pool:
        doing = pool.submit(act)
        yield
        doing.result(PATIENCE)


def managed(session: Session, simulator: Simulator, name: str) -> Any:
    """The VM of that name, for somebody to do something to."""
    moref = next(vm.moref for vm in simulator.vms() if vm.name == name)
    return session.managed(vim.VirtualMachine, moref)


def kinds(job: JobView) -> set[str]:
    return {error.kind for error in job.errors}


def test_a_run_among_others_loses_nothing_and_hurts_nobody(
    place: Place, simulator: Simulator, administrator: Session
) -> None:
    simulator.occupy("deleted", "cloneVm", seconds=600)
    simulator.occupy("renamed", "relocateVm", seconds=20)
    simulator.disturb_downloads(Download(vm="crowded", rate=1 << 20))
    rules = Rules(backoff_base=0.2, put_off_pause=0.5, backoff_limit=0.5)
    patience = Patience(grace=60.0, heartbeat=1.0, look=0.3)

    def others(seen: Callable[[str], JobView]) -> None:
        until(lambda: "backup-running" in kinds(seen("backed-up")), PATIENCE)
        until(lambda: "held" in kinds(seen("renamed")) & kinds(seen("deleted")), PATIENCE)
        until(lambda: seen("crowded").received_bytes, PATIENCE)
        simulator.set_free("busy", TIB // 50)
        until(lambda: "datastore-full" in kinds(seen("crowded")), PATIENCE)
        until(lambda: "crowded" not in {one.vm for one in simulator.snapshots()}, PATIENCE)
        tasks.wait(
            administrator, managed(administrator, simulator, "renamed").Rename_Task("called otherwise")
        )
        crowded, renamed = (
            managed(administrator, simulator, "crowded"),
            managed(administrator, simulator, "called otherwise"),
        )
        there = vim.vm.RelocateSpec(host=crowded.runtime.host)
        tasks.wait(administrator, renamed.RelocateVM_Task(there))
        tasks.wait(administrator, managed(administrator, simulator, "deleted").Destroy_Task())
        (backup,) = managed(administrator, simulator, "backed-up").snapshot.rootSnapshotList
        tasks.wait(administrator, backup.snapshot.RemoveSnapshot_Task(False, True))
        assert seen("crowded").state is JobState.QUEUED
        simulator.disturb_downloads()
        simulator.set_free("busy", TIB // 2)

    cluster = ClusterSettings(workers=2, memory="1GiB", scratch=str(place.scratch))
    changes: dict[str, Any] = {"rules": rules, "patience": patience, "cluster": cluster}
    changes["selection"] = Selection(exclude=("with-data",))
    with prepared(place, **changes) as run, beside(run, others):
        view = run.execute()
    jobs = {job.vm: job for job in view.jobs}
    assert {name: job.state for name, job in jobs.items()} == {
        "backed-up": JobState.DONE,
        "deleted": JobState.SKIPPED,
        "renamed": JobState.DONE,
        "crowded": JobState.DONE,
    }
    assert "deleted or unregistered during the run" in jobs["deleted"].reason
    assert "it is called 'called otherwise' by now; its image stays at" in jobs["renamed"].reason
    assert jobs["renamed"].host == "esx-1"
    crowded = [error.message for error in jobs["crowded"].errors]
    assert crowded == ["no snapshot may be open: datastore busy has 2.0% free; the limit is 10%"]
    begun = [time.attempt for time in jobs["crowded"].stages if time.stage is Stage.SNAPSHOT]
    assert begun == [1, 2]
    assert not any(job.snapshot_left for job in view.jobs)
    assert simulator.snapshots() == []
    assert simulator.leases().open == ()

    with prepared(place, selection=Selection(include=("called*",))) as run:
        again = {job.vm: job for job in run.plan().jobs}
    assert again["called otherwise"].image == jobs["renamed"].image
    assert again["called otherwise"].state is JobState.DONE


def test_vms_that_go_and_change_under_their_lease(
    place: Place, simulator: Simulator, administrator: Session
) -> None:
    """One is unregistered with its snapshot; one is switched off and moved to another folder."""
    gone, changed = managed(administrator, simulator, "deleted"), managed(administrator, simulator, "renamed")
    simulator.disturb_downloads(Download(rate=1 << 18))

    def others(seen: Callable[[str], JobView]) -> None:
        until(lambda: seen("deleted").received_bytes and seen("renamed").received_bytes, PATIENCE)
        tasks.wait(administrator, gone.Destroy_Task())
        tasks.wait(administrator, changed.PowerOff())
        folder = changed.parent.CreateFolder("archive")
        tasks.wait(administrator, folder.MoveIntoFolder_Task([changed]))
        simulator.disturb_downloads()

    selection = Selection(include=("deleted", "renamed"))
    cluster = ClusterSettings(workers=2, memory="1GiB", scratch=str(place.scratch))
    with prepared(place, selection=selection, cluster=cluster) as run, beside(run, others):
        jobs = {job.vm: job for job in run.execute().jobs}
    assert jobs["deleted"].state is JobState.DONE, jobs["deleted"].errors  # its bytes were all here
    assert jobs["renamed"].state is JobState.DONE, jobs["renamed"].errors
    assert not any(job.snapshot_left for job in jobs.values())
    assert {one.name for one in simulator.snapshots()} == {VEEAM}
    with Ledger(place.ledger) as ledger:
        assert ledger.open_snapshots() == ()

    with prepared(place, selection=Selection(include=("archive/*",))) as run:
        (again,) = run.plan().jobs
    assert (again.job, again.state) == (jobs["renamed"].job, JobState.QUEUED)  # off now: it is read once more


def test_a_backup_that_never_ends_is_told(place: Place, simulator: Simulator) -> None:
    rules = Rules(put_off_pause=0.2, backoff_limit=0.2, put_off_limit=0.5)
    with prepared(place, rules=rules, selection=Selection(include=("backed-up",))) as run:
        (job,) = run.execute().jobs
    assert job.state is JobState.FAILED
    assert job.error is not None and job.error.kind == "backup-running"
    assert "so it was put off for" in job.error.message
    assert job.reason.startswith(f"Veeam Backup & Replication has its snapshot {VEEAM!r} on it since")
    assert [one.name for one in simulator.snapshots()] == [VEEAM]
    assert simulator.count("RemoveSnapshot_Task") == simulator.count("CreateSnapshot_Task") == 0


def test_a_large_data_disk_of_a_linked_clone_is_left_out(place: Place, simulator: Simulator) -> None:
    simulator.link_clone("with-data", "[calm] golden/golden.vmdk")
    simulator.disturb_downloads(Download(vm="with-data", rate=1 << 18))
    sent: dict[str, int] = {}
    limit = 100 << 30

    def others(seen: Callable[[str], JobView]) -> None:
        until(lambda: seen("with-data").received_bytes, PATIENCE)
        (lease,) = simulator.leases().open
        sent.update(lease.sent)
        simulator.disturb_downloads()

    selection = Selection(include=("with-data",))
    with prepared(place, selection=selection, largest_data_disk=limit) as run, beside(run, others):
        (job,) = run.execute().jobs
    assert job.state is JobState.DONE, job.errors
    assert sent.keys() == {"disk-0.vmdk"}
    assert "(2048.0 GiB) is left out: attach its data" in job.reason
    assert "is a linked clone of [calm] golden/golden.vmdk" in job.reason
    assert job.conversion is not None
    (said,) = [note for note in job.conversion.notes if "left out" in note]
    assert "has to be attached as a volume" in said
