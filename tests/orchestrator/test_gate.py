"""No worker that cannot convert gets a VM, and no VM on a host that nobody reaches gets a snapshot."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from converters.outputs.client import RegistryAccess
from deploy.demo import guests
from deploy.demo.fleet import Cluster as HostCluster
from deploy.demo.fleet import Datacenter, Disk, Fleet, Host, Machine
from deploy.demo.registry import Registry, registry
from deploy.demo.simulator import Simulator
from orchestrator.cluster import Cluster, ClusterSettings, RollCall
from orchestrator.errors import CheckError
from orchestrator.fleet.machine import SetAside, WorkerJoined
from orchestrator.fleet.states import JobState, WorkerLost
from orchestrator.fleet.view import JobView, RunPhase, RunView
from orchestrator.gate import Gate, GateEvent, Refused
from orchestrator.ledger import Ledger
from orchestrator.probe.hosts import NFC_PORT, Reach
from orchestrator.probe.worker import ProbeOrder
from orchestrator.vsphere.values import HostInfo
from tests.conftest import StartSimulator
from tests.orchestrator.dask_processes import ROOT, remote_cluster, remote_worker
from tests.orchestrator.fleet.vms import make_vm
from tests.orchestrator.fleet_run import DATACENTER, Place, prepared
from tests.orchestrator.test_preflight import BAD, FINE, HERE, NOW, SCHEDULER, probed, roll
from tests.tls_server import tls_server
from tests.waiting import until

UP, DOWN = "127.83.0.2", "127.83.0.3"
WRONG = {"ORCHESTRATE_REGISTRY_USERNAME": "pusher", "ORCHESTRATE_REGISTRY_PASSWORD": "wrong"}
PATIENCE = 30.0


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    disk = (Disk(path=str(guests.small("little").vmdk)),)
    machines = (Machine("up", host=UP, disks=disk), Machine("down", host=DOWN, disks=disk))
    return Fleet(
        (Datacenter(DATACENTER, clusters=(HostCluster(hosts=(Host(UP), Host(DOWN))),), vms=machines),)
    )


@pytest.fixture
def simulator(start_simulator: StartSimulator, fleet: Fleet) -> Iterator[Simulator]:
    started = start_simulator(fleet)
    started.forget_calls()
    yield started
    assert started.snapshots() == []
    assert started.sessions() == []


@pytest.fixture(scope="module")
def images() -> Iterator[Registry]:
    with registry() as running:
        yield running


@pytest.fixture
def place(simulator: Simulator, images: Registry, tmp_path: Path) -> Place:
    return Place.of(simulator, f"{images.address}/{tmp_path.name.replace('_', '-').lower()}", tmp_path)


@contextmanager
def answering(folder: Path, *hosts: str) -> Iterator[None]:
    """ESXi hosts that answer where export leases are served."""
    with ExitStack() as stack:
        try:
            for host in hosts:
                stack.enter_context(tls_server(folder, host, NFC_PORT))
        except OSError as error:
            pytest.skip(f"no server can listen on port {NFC_PORT} of {host}: {error}")
        yield


def job(view: RunView, name: str) -> JobView:
    return next(job for job in view.jobs if job.vm == name)


def test_vms_of_a_host_out_of_reach_are_set_aside_and_a_rerun_takes_them(
    place: Place, simulator: Simulator, tmp_path: Path
) -> None:
    with answering(tmp_path, UP), prepared(place, skip_check=frozenset()) as run:
        view = run.execute()
    assert view.passed[:3] == (RunPhase.STARTING, RunPhase.TESTING, RunPhase.RUNNING)
    assert job(view, "up").state is JobState.DONE
    down = job(view, "down")
    assert down.state is JobState.FAILED and down.error is not None
    assert down.error.kind == "host-unreachable"
    assert down.error.message == f"its host {DOWN} is out of reach of the workers: Connection refused"
    assert f"open TCP {NFC_PORT} to the hosts" in down.error.hint
    assert simulator.count("CreateSnapshot_Task") == 1

    with answering(tmp_path, UP, DOWN), prepared(place, skip_check=frozenset()) as run:
        again = run.execute()
    assert {one.vm: one.state for one in again.jobs} == {"up": JobState.DONE, "down": JobState.DONE}
    assert simulator.count("CreateSnapshot_Task") == 2


def test_when_no_host_is_reached_nothing_is_begun(place: Place, simulator: Simulator) -> None:
    with (
        prepared(place, skip_check=frozenset()) as run,
        pytest.raises(CheckError, match="2 of 2 out of reach of the workers") as refused,
    ):
        run.execute()
    assert f"{UP}: Connection refused; {DOWN}: Connection refused" in refused.value.message
    assert "open TCP" in refused.value.hint
    assert simulator.count("CreateSnapshot_Task") == 0
    with Ledger(place.ledger) as ledger:
        assert ledger.open_snapshots() == ()


def test_workers_that_the_registry_refuses_begin_nothing(simulator: Simulator, tmp_path: Path) -> None:
    with registry(users={"pusher": "right"}) as guarded:
        place = Place.of(simulator, f"{guarded.address}/vms", tmp_path)
        cluster = ClusterSettings(workers=1, memory="1GiB", scratch=str(place.scratch), environment=WRONG)
        with prepared(place, cluster=cluster) as run, pytest.raises(CheckError, match=r"registry: .*401"):
            run.execute()
    assert simulator.count("CreateSnapshot_Task") == 0


@pytest.fixture
def old_version(tmp_path: Path) -> dict[str, str]:
    """The environment of a worker with another version of the product."""
    metadata = tmp_path / "old" / "orchestrate-0.0.9.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text("Metadata-Version: 2.1\nName: orchestrate\nVersion: 0.0.9\n")
    return {"PYTHONPATH": f"{tmp_path / 'old'}:{ROOT}"}


def test_a_worker_that_comes_later_is_tested_too(
    place: Place, simulator: Simulator, tmp_path: Path, old_version: dict[str, str]
) -> None:
    snapshots: list[int] = []
    over = threading.Event()
    with remote_cluster(tmp_path, workers=0) as (address, _):
        cluster = ClusterSettings(scheduler=address, scratch=str(place.scratch), connect_seconds=PATIENCE)
        with prepared(place, cluster=cluster) as run:

            def start_workers() -> None:
                with remote_worker(address, tmp_path, **old_version):
                    until(lambda: any("has orchestrate 0.0.9" in note for note in run.view().notes), PATIENCE)
                    snapshots.append(simulator.count("CreateSnapshot_Task"))
                    with remote_worker(address, tmp_path):
                        over.wait(PATIENCE)

            starting = threading.Thread(target=start_workers)
            starting.start()
            view = run.execute()
            over.set()
            starting.join()
    assert snapshots == [0]
    assert {one.state for one in view.jobs} == {JobState.DONE}
    (note,) = [note for note in view.notes if "0.0.9" in note]
    assert note.endswith("gets no VM: has orchestrate 0.0.9, here is 0.1.0")


class Asked:
    """A cluster of which only the answers matter, so that events can come between question and answer."""

    def __init__(self) -> None:
        self.asked: queue.SimpleQueue[Future[RollCall]] = queue.SimpleQueue()

    def call_roll(self, *_: Any) -> Future[RollCall]:
        answer: Future[RollCall] = Future()
        self.asked.put(answer)
        return answer


NOBODY = RollCall(HERE, SCHEDULER, {}, {})
ORDER = ProbeOrder(("esx1", "esx2"), "", RegistryAccess(), "", ())
VMS = {
    "a": make_vm("a"),
    "b": make_vm("b", host=HostInfo("host-2", "esx2", 2400)),
    "c": make_vm("c", host=None),
}


@contextmanager
def gate(first: RollCall = NOBODY) -> Iterator[tuple[Gate, Asked, queue.SimpleQueue[GateEvent]]]:
    """An open gate, the questions it asks from now on, and what it tells."""
    told: queue.SimpleQueue[GateEvent] = queue.SimpleQueue()
    cluster, made = Asked(), Gate(ORDER, VMS, told.put)
    answering = threading.Thread(target=lambda: cluster.asked.get().set_result(first))
    answering.start()
    with made.open(cast(Cluster, cluster)):
        answering.join()
        yield made, cluster, told


def test_a_worker_is_heard_of_when_it_has_passed() -> None:
    with gate() as (opened, cluster, told):
        opened.heard(WorkerJoined("w", 1))
        answer = cluster.asked.get(timeout=5)
        assert told.empty()
        answer.set_result(roll(w=probed(FINE)))
        assert told.get(timeout=5) == WorkerJoined("w", 1)


def test_a_worker_that_is_lost_while_it_is_tested_does_not_come_to_life_again() -> None:
    with gate() as (opened, cluster, told):
        opened.heard(WorkerJoined("w", 1))
        answer = cluster.asked.get(timeout=5)
        opened.heard(WorkerLost("w"))
        answer.set_result(roll(w=probed(FINE)))
        assert told.get(timeout=5) == WorkerLost("w")
        opened.heard(WorkerJoined("v", 1))
        cluster.asked.get(timeout=5).set_result(roll(v=probed(FINE)))
        assert told.get(timeout=5) == WorkerJoined("v", 1)


def test_who_was_tested_at_the_beginning_comes_in_at_once() -> None:
    with gate(roll(w=probed(FINE), x=probed(BAD))) as (opened, cluster, told):
        assert told.get(timeout=5) == Refused("worker x gets no VM: registry: 401")
        opened.heard(WorkerJoined("w", 1))
        assert told.get(timeout=5) == WorkerJoined("w", 1)
        assert cluster.asked.empty()


def test_what_may_go_badly_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with gate(roll(w=probed(FINE, clock=NOW + 90))):
        (line,) = [record.getMessage() for record in caplog.records if record.name == "orchestrator.gate"]
    assert line.startswith("clock: every worker: the worker's clock is +90 s from this machine's → let both")


def test_vms_are_set_aside_before_the_first_worker_is_heard_of() -> None:
    reach = Reach({"esx2": "no answer within 3 s"})
    with gate() as (opened, cluster, told):
        opened.heard(WorkerJoined("w", 1))
        cluster.asked.get(timeout=5).set_result(roll(w=probed(FINE, reach=reach)))
        aside = told.get(timeout=5)
        assert isinstance(aside, SetAside) and aside.jobs == {"b"}
        assert told.get(timeout=5) == WorkerJoined("w", 1)
        opened.heard(WorkerJoined("v", 1))
        cluster.asked.get(timeout=5).set_result(roll(v=probed(FINE, reach=Reach({"esx1": "refused"}))))
        assert told.get(timeout=5) == Refused(
            "worker v gets no VM: reach of ESXi hosts: does not reach what other workers reach: esx1"
        )


def test_a_worker_that_does_not_pass_is_tested_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.gate._AGAIN_SECONDS", 0.05)
    with gate() as (opened, cluster, told):
        opened.heard(WorkerJoined("w", 1))
        for _ in range(2):
            cluster.asked.get(timeout=5).set_result(roll(w=probed(BAD)))
        cluster.asked.get(timeout=5).set_result(roll(w=probed(FINE)))
        assert told.get(timeout=5) == Refused("worker w gets no VM: registry: 401"), "told once"
        assert told.get(timeout=5) == WorkerJoined("w", 1)


def test_workers_that_cannot_be_asked_are_asked_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.gate._SOON_SECONDS", 0.05)
    with gate() as (opened, cluster, told):
        opened.heard(WorkerJoined("w", 1))
        cluster.asked.get(timeout=5).set_exception(ConnectionError("the scheduler is gone"))
        cluster.asked.get(timeout=5).set_result(roll(w=probed(FINE)))
        assert told.get(timeout=5) == WorkerJoined("w", 1)


def test_workers_are_asked_again_when_the_scheduler_is_lost_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("orchestrator.gate._SOON_SECONDS", 0.05)
    with gate() as (opened, cluster, told):
        opened.heard(WorkerJoined("w", 1))
        assert cluster.asked.get(timeout=5).cancel(), "as a seat that is given up does"
        cluster.asked.get(timeout=5).set_result(roll(w=probed(FINE)))
        assert told.get(timeout=5) == WorkerJoined("w", 1)


def test_a_scheduler_lost_during_the_first_test_keeps_nobody_from_being_tested_later() -> None:
    told: queue.SimpleQueue[GateEvent] = queue.SimpleQueue()
    cluster, opened = Asked(), Gate(ORDER, VMS, told.put)
    losing = threading.Thread(target=lambda: cluster.asked.get().cancel())
    losing.start()
    with opened.open(cast(Cluster, cluster)):
        losing.join()
        opened.heard(WorkerJoined("w", 1))
        cluster.asked.get(timeout=5).set_result(roll(w=probed(FINE)))
        assert told.get(timeout=5) == WorkerJoined("w", 1)


def test_whoever_interrupts_the_first_test_does_not_wait_for_it() -> None:
    cluster, opened = Asked(), Gate(ORDER, VMS, lambda event: None)
    with opened.open(cast(Cluster, cluster), unwanted=lambda: True):
        assert cluster.asked.get(timeout=5).cancelled()


def test_a_gate_that_closes_waits_for_no_answer() -> None:
    with gate() as (opened, cluster, _):
        opened.heard(WorkerJoined("w", 1))
        answer = cluster.asked.get(timeout=5)
    assert answer.cancelled()
