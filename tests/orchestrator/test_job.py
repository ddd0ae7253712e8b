"""What runs beside the vCenter session, on the simulated vCenter; and what is given to workers."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest
from pydantic import SecretStr
from pyVmomi import vim

from converters.disks import RawFile
from converters.outputs.base import Output
from deploy.demo import guests
from deploy.demo.fleet import Datacenter, Disk, Fleet, Machine
from deploy.demo.simulator import Rule, Simulator
from orchestrator.cluster import Cluster
from orchestrator.download import Downloaded
from orchestrator.errors import WorkerLostError
from orchestrator.fleet.plan import PlannedVm
from orchestrator.fleet.states import Job, JobState, Stage
from orchestrator.job import (
    Control,
    JobSettings,
    PublishOrder,
    ReleaseOrder,
    VmJob,
    machine_facts,
)
from orchestrator.ledger import EnlistedVm, Ledger, RunLedger
from orchestrator.resident import TaskKey
from orchestrator.stages import ConvertOrder, Stages
from orchestrator.sweep import forget, sweep
from orchestrator.vsphere import making, snapshot
from orchestrator.vsphere.client import VCenter
from orchestrator.vsphere.settings import VCenterSettings
from orchestrator.vsphere.values import Allocation, HostInfo, VirtualMachine
from tests.conftest import StartSimulator
from tests.orchestrator.fleet.vms import make_vm

JOB = "4f2a9c"


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    disk = Disk(path=str(guests.small("little").vmdk))
    return Fleet((Datacenter("DC0", vms=(Machine("web", disks=(disk,)), Machine("db", disks=(disk,)))),))


@pytest.fixture
def simulator(start_simulator: StartSimulator, fleet: Fleet) -> Iterator[Simulator]:
    started = start_simulator(fleet)
    yield started
    assert started.snapshots() == []
    assert started.leases().open == ()


@pytest.fixture
def vcenter(simulator: Simulator) -> Iterator[VCenter]:
    settings = VCenterSettings.parse(
        simulator.url, simulator.username, SecretStr(simulator.password), ca_file=str(simulator.ca_file)
    )
    with VCenter(settings) as connected:
        yield connected


@pytest.fixture
def web(vcenter: VCenter) -> VirtualMachine:
    return next(vm for vm in vcenter.inventory("DC0").vms if vm.name == "web")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "ledger.sqlite") as opened:
        yield opened


@pytest.fixture
def run(ledger: Ledger, vcenter: VCenter, web: VirtualMachine) -> RunLedger:
    begun = ledger.begin_run(vcenter.about().instance_uuid, "/DC0")
    begun.enlist(
        EnlistedVm(job, web.instance_uuid, web.moref, web.name, "", "registry/web")
        for job in (JOB, "other-job")
    )
    return begun


def publish_nothing(repository: str) -> AbstractContextManager[Output]:
    """No output may be opened."""
    pytest.fail(f"{repository} was opened")


@pytest.fixture
def control(vcenter: VCenter, ledger: Ledger, run: RunLedger) -> Control:
    return Control(vcenter, ledger.id, run, JobSettings(), publish_nothing)


def order(vm: VirtualMachine, **changes: Any) -> ReleaseOrder:
    plain = ReleaseOrder(vm.moref, JOB, "/DC0", snapshot=None, lease=None, downloaded=False)
    return replace(plain, **changes)


def test_a_snapshot_that_nobody_was_told_of_is_found_and_removed(
    control: Control, web: VirtualMachine, simulator: Simulator, ledger: Ledger
) -> None:
    control.snapshot(web.moref, JOB)
    other = control.snapshot(web.moref, "other-job")
    control.release(order(web))
    made = {opened.job: opened.made for opened in ledger.open_snapshots()}
    assert made == {JOB: True, "other-job": False}, "written down before it was removed"
    assert [found.name for found in simulator.snapshots()] == [other.name]
    control.release(order(web, job="other-job", snapshot=other))


def test_a_snapshot_that_vcenter_lists_late_is_waited_for_and_removed(
    control: Control, vcenter: VCenter, web: VirtualMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "VERIFY_SECONDS", 0.0)
    monkeypatch.setattr(making, "APPEAR_SECONDS", 0.6)
    ordered: list[making.Order] = []

    def unlisted(order: making.Order, quiesced: bool) -> Any:
        ordered.append(order)
        return order.session.managed(vim.vm.Snapshot, "snapshot-late")

    with monkeypatch.context() as late:
        late.setattr(making, "make", unlisted)
        with pytest.raises(
            snapshot.UnlistedError, match=r"of web is made .snapshot-late., and vCenter"
        ) as caught:
            control.snapshot(web.moref, JOB)
    assert caught.value.retryable
    appearing = threading.Timer(0.2, making.make, (ordered[0], False))
    appearing.start()
    removal = control.release(order(web))
    appearing.join()
    assert not removal.already_gone


def test_a_release_without_a_snapshot_is_no_error(control: Control, web: VirtualMachine) -> None:
    assert control.release(order(web)).already_gone


@pytest.mark.parametrize("downloaded", [True, False])
def test_the_lease_is_ended_before_the_snapshot_goes(
    control: Control, web: VirtualMachine, simulator: Simulator, downloaded: bool
) -> None:
    before = simulator.leases()
    snapshot = control.snapshot(web.moref, JOB)
    lease = control.export(snapshot)
    released = control.release(order(web, snapshot=snapshot, lease=lease, downloaded=downloaded))
    assert released.note == ""
    after = simulator.leases()
    assert (after.completed - before.completed, after.aborted - before.aborted) == (
        downloaded,
        not downloaded,
    )


def test_a_lease_that_had_ended_before_is_told(
    control: Control, web: VirtualMachine, simulator: Simulator
) -> None:
    snapshot = control.snapshot(web.moref, JOB)
    lease = control.export(snapshot)
    simulator.fail_leases("web", "GenericVmConfigFault")
    released = control.release(order(web, snapshot=snapshot, lease=lease))
    assert released.note.startswith("its export lease had ended: GenericVmConfigFault")


def test_an_attempt_that_does_not_count_publishes_nothing(control: Control, run: RunLedger) -> None:
    run.record(Job(JOB, JobState.PUBLISHING, attempt=2))
    with pytest.raises(WorkerLostError, match="attempt 1"):
        control.publish(PublishOrder(JOB, 1, Unpublishable()))  # type: ignore[arg-type]


class Unpublishable:
    """Stands for an image that nobody may look at."""

    def __getattr__(self, name: str) -> NoReturn:
        raise AssertionError(name)


def test_a_sweep_spares_live_runs_and_other_ledgers(
    control: Control,
    vcenter: VCenter,
    ledger: Ledger,
    run: RunLedger,
    web: VirtualMachine,
    tmp_path: Path,
) -> None:
    made = control.snapshot(web.moref, JOB)
    assert sweep(vcenter, ledger).left_alone == ((made, "its run is at work"),)
    run.end("died")
    with Ledger(tmp_path / "other.sqlite") as other:
        assert sweep(vcenter, other).left_alone == ((made, "another ledger's"),)
    assert sweep(vcenter, ledger, "DC0").removed == (made,)
    assert ledger.open_snapshots() == ()


def test_a_sweep_does_not_wait_for_ever_for_what_holds_a_vm(
    control: Control,
    vcenter: VCenter,
    ledger: Ledger,
    run: RunLedger,
    web: VirtualMachine,
    simulator: Simulator,
) -> None:
    made = control.snapshot(web.moref, JOB)
    run.end("died")
    simulator.inject(Rule("RemoveSnapshot_Task", fault="TaskInProgress"))
    ((stays, why),) = sweep(vcenter, ledger, patience=0.2).failed
    assert stays == made and "TaskInProgress" in why
    simulator.reset()
    assert sweep(vcenter, ledger, patience=0.2).removed == (made,)


def test_a_sweep_closes_what_was_intended_and_never_made(
    vcenter: VCenter, ledger: Ledger, run: RunLedger, web: VirtualMachine
) -> None:
    run.snapshot_intended(JOB, web.moref, f"orchestrate-{JOB}")
    run.end("died")
    swept = sweep(vcenter, ledger)
    assert swept.removed == ()
    assert [unseen.job for unseen in swept.unseen] == [JOB]
    forget(ledger, swept.unseen)
    assert ledger.open_snapshots() == ()


def test_megahertz_become_cores_of_the_vms_host() -> None:
    vm = make_vm(
        host=HostInfo("host-1", "esx1", 2400),
        cpu=Allocation(reservation=1200, limit=3600),
        memory=Allocation(reservation=256, limit=1024),
    )
    facts = machine_facts(vm)
    assert (facts.vcpus, facts.cpu_limit, facts.cpu_reservation) == (2, 1.5, 0.5)
    assert (facts.memory_mib, facts.memory_limit_mib, facts.memory_reservation_mib) == (2048, 1024, 256)
    assert machine_facts(replace(vm, host=None)).cpu_limit is None


class Recorder:
    """Keeps what would be submitted."""

    def __init__(self) -> None:
        self.submitted: list[tuple[TaskKey, str, object]] = []

    def submit(self, key: TaskKey, worker: str, stage: object, order: object) -> None:
        self.submitted.append((key, worker, order))


def test_a_worker_is_given_plain_values_without_credentials(vcenter: VCenter, web: VirtualMachine) -> None:
    planned = PlannedVm(JOB, web, "registry:5000/demo/web", "f", JobState.QUEUED)
    job = VmJob(planned, "/DC0", JobSettings(), Stages(), "web")
    job.took(Downloaded((RawFile("/scratch/disk-0.raw"),), 10, 5))
    recorder = Recorder()
    job.start(as_cluster(recorder), Stage.CONVERT, 3, "tcp://w1")
    ((key, worker, given),) = recorder.submitted
    assert (str(key), worker) == (f"web-{JOB}/convert/3", "tcp://w1")
    assert isinstance(given, ConvertOrder)
    assert pickle.loads(pickle.dumps(given)) == given
    assert given.access.credentials is None
    labels = dict(given.request.labels)
    assert web.moref in labels.values() and "DC0" in labels.values()


def as_cluster(recorder: Recorder) -> Cluster:
    return recorder  # type: ignore[return-value]


def test_a_stage_before_its_time_is_a_defect(web: VirtualMachine) -> None:
    planned = PlannedVm(JOB, web, "registry:5000/demo/web", "f", JobState.QUEUED)
    job = VmJob(planned, "/DC0", JobSettings(), Stages(), "web")
    with pytest.raises(ValueError, match="before"):
        job.start(as_cluster(Recorder()), Stage.DOWNLOAD, 1, "tcp://w1")
