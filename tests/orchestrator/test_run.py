"""Whole runs over a simulated vCenter, real guests, a real Dask cluster and a real registry."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.demo import guests
from deploy.demo.fleet import Datacenter, Disk, Fleet, Machine
from deploy.demo.registry import Registry, registry
from deploy.demo.simulator import Download, Rule, Simulator
from orchestrator.cluster import ClusterSettings
from orchestrator.errors import NotFoundError
from orchestrator.fleet.select import Selection
from orchestrator.fleet.states import JobState, Stage
from orchestrator.fleet.view import JobView, RunPhase, RunView
from orchestrator.interrupts import listening
from orchestrator.ledger import Ledger, LedgerInUseError, RunLedger
from orchestrator.scratch import sweep as sweep_scratch
from orchestrator.stages import Stages
from orchestrator.terms import Patience
from tests.conftest import StartSimulator
from tests.orchestrator import fleet_run
from tests.orchestrator.dask_processes import remote_cluster
from tests.orchestrator.fleet_run import DATACENTER, Place, prepared, vcenter
from tests.waiting import until

PATIENCE = 60.0
BIG = 6 << 20


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    big, small = guests.small("big", BIG), guests.small("little")
    machines = (
        Machine("big", disks=(Disk(path=str(big.vmdk)),)),
        Machine("little", folders=("prod",), power="poweredOff", disks=(Disk(path=str(small.vmdk)),)),
        Machine("broken", disks=(Disk(path=str(guests.garbage().vmdk)),)),
        Machine("template", power="poweredOff", template=True, disks=(Disk(capacity=1 << 30),)),
    )
    return Fleet((Datacenter(DATACENTER, vms=machines), Datacenter("Empty")))


@pytest.fixture
def simulator(start_simulator: StartSimulator, fleet: Fleet) -> Iterator[Simulator]:
    """At the end of each test no snapshot, no lease and no session of ours may be left."""
    started = start_simulator(fleet)
    started.forget_calls()
    started.change(lease_timeout=4.0)
    yield started
    started.reset()
    assert started.snapshots() == []
    until(lambda: started.leases().open == ())  # those of a session that was ended time out
    assert started.sessions() == []


@pytest.fixture(scope="module")
def images() -> Iterator[Registry]:
    with registry() as running:
        yield running


@pytest.fixture
def place(
    simulator: Simulator, images: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    monkeypatch.setenv("ORCHESTRATE_TEST_FOLDER", str(tmp_path))
    # A repository of the test's own: another's blobs would be found there.
    made = Place.of(simulator, f"{images.address}/{tmp_path.name.replace('_', '-').lower()}", tmp_path)
    yield made
    with Ledger(made.ledger) as ledger:
        assert ledger.open_snapshots() == ()
        assert ledger.live_runs() == frozenset()
    assert list(made.scratch.glob("orchestrate-worker-*")) == []


def job(view: RunView, name: str) -> JobView:
    return next(job for job in view.jobs if job.vm == name)


@contextmanager
def during(view: Callable[[], RunView], stage: Stage, act: Callable[[], object]) -> Iterator[None]:
    """Act once, from another thread, when a job has moved bytes in ``stage``."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            if any(stage in one.running and one.received_bytes for one in view().jobs):
                act()
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


@contextmanager
def as_process(
    place: Place, stderr: int = subprocess.DEVNULL
) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[], None]]]:
    """A run in a process group of its own, and what waits until its first download has begun."""
    command = [sys.executable, "-m", "tests.orchestrator.fleet_run", json.dumps(asdict(place))]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stderr=stderr, start_new_session=True) as process:
        try:
            yield process, lambda: until((Path(place.folder) / "download").exists, PATIENCE)
        finally:
            process.kill()


def only(*names: str) -> Selection:
    return Selection(include=names)


def manifest_of(reference: str) -> str:
    """The media type of what the registry has under the reference."""
    host, _, rest = reference.partition("/")
    name, _, digest = rest.partition("@")
    answer = httpx.get(
        f"http://{host}/v2/{name}/manifests/{digest}",
        headers={"Accept": "application/vnd.oci.image.manifest.v1+json"},
        trust_env=False,
    )
    answer.raise_for_status()
    return answer.headers["Content-Type"]


def test_every_vm_ends_as_it_should_and_a_second_run_has_nothing_to_do(
    place: Place, simulator: Simulator
) -> None:
    with prepared(place) as run:
        view = run.execute()
    assert {one.vm: one.state for one in view.jobs} == {
        "big": JobState.DONE,
        "little": JobState.DONE,
        "broken": JobState.FAILED,
        "template": JobState.SKIPPED,
    }
    assert view.phase is RunPhase.ENDED and view.ended is not None
    big = job(view, "big")
    assert big.image is not None
    assert manifest_of(big.image.reference) == "application/vnd.oci.image.manifest.v1+json"
    assert [time.stage for time in big.stages if time.ok] == [
        Stage.SNAPSHOT,
        Stage.EXPORT,
        Stage.DOWNLOAD,
        Stage.CONVERT,
        Stage.RELEASE,
        Stage.PUBLISH,
    ]
    assert min(big.received_total, big.read_total, big.pushed_total) > BIG * 0.9
    error = job(view, "broken").error
    assert error is not None and not error.retryable and error.stage is Stage.CONVERT
    assert job(view, "template").reason == "it is a template, not a VM"
    with Ledger(place.ledger) as ledger:
        assert {one.vm: one.state for one in ledger.jobs(view.run)} == {
            one.vm: one.state for one in view.jobs
        }

    simulator.forget_calls()
    with prepared(place, selection=Selection(exclude=("broken",))) as run:
        again = run.execute()
    assert job(again, "big").image == big.image
    assert "unchanged" in job(again, "big").reason
    assert simulator.count("CreateSnapshot_Task") == 0

    with prepared(place, selection=only("big"), refresh=True) as run:
        refreshed = job(run.execute(), "big")
    assert refreshed.image is not None and refreshed.image.digest == big.image.digest


def test_a_plan_changes_nothing(place: Place, simulator: Simulator) -> None:
    with prepared(place) as run:
        view = run.plan()
    assert view.counts[JobState.QUEUED] == 3 and view.counts[JobState.SKIPPED] == 1
    assert simulator.count("CreateSnapshot_Task") == 0
    with Ledger(place.ledger) as ledger:
        assert ledger.last_run() is None


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"selection": only("nothing")}, "none of the 4 VMs"),
        ({"datacenter": "Empty"}, "there is no VM in Empty"),
        ({"datacenter": "DC9"}, "DC0"),
    ],
)
def test_nothing_to_do_is_an_error_that_says_why(place: Place, changes: dict[str, Any], says: str) -> None:
    with prepared(place, **changes) as run, pytest.raises(NotFoundError, match=says):
        run.execute()


def test_a_worker_killed_at_its_work_costs_a_second_attempt(place: Place, simulator: Simulator) -> None:
    stages = Stages(convert=fleet_run.convert_after_one_death)
    with prepared(place, stages, selection=only("little")) as run:
        little = job(run.execute(), "little")
    assert little.state is JobState.DONE
    assert [error.kind for error in little.errors] == ["worker-lost"]
    assert little.attempt == 2
    assert simulator.count("CreateSnapshot_Task") == 2
    with Ledger(place.ledger) as ledger:
        last = ledger.last_run()
        assert last is not None
        assert len(ledger.jobs(last.run)) == 1, "one image, so one row"


def test_a_registry_that_is_away_costs_no_second_snapshot(place: Place, simulator: Simulator) -> None:
    stages = Stages(convert=fleet_run.convert_after_one_failure)
    with prepared(place, stages, selection=only("little")) as run:
        little = job(run.execute(), "little")
    assert little.state is JobState.DONE
    assert [error.kind for error in little.errors] == ["registry-unavailable"]
    assert simulator.count("CreateSnapshot_Task") == 1
    assert simulator.leases().made >= 1


def test_a_cut_download_is_begun_anew(place: Place, simulator: Simulator) -> None:
    simulator.disturb_downloads(Download(vm="little", cut_after=100_000, count=1))
    with prepared(place, selection=only("little")) as run:
        little = job(run.execute(), "little")
    assert little.state is JobState.DONE
    assert [(error.kind, error.stage) for error in little.errors] == [("stream", Stage.DOWNLOAD)]


def test_a_snapshot_whose_answer_was_lost_is_found_and_removed(place: Place, simulator: Simulator) -> None:
    simulator.inject(Rule("CreateSnapshot_Task", stage="reply", drop=True, count=1))
    with prepared(place, selection=only("little")) as run:
        little = job(run.execute(), "little")
    assert little.state is JobState.DONE


def test_a_snapshot_that_fails_is_followed_by_a_release(place: Place, simulator: Simulator) -> None:
    simulator.inject(Rule("CreateSnapshot_Task", stage="task", fault="FileLocked", count=1))
    with prepared(place, selection=only("little")) as run:
        little = job(run.execute(), "little")
    assert [error.stage for error in little.errors] == [Stage.SNAPSHOT]
    assert [time.stage for time in little.stages][:2] == [Stage.SNAPSHOT, Stage.RELEASE]


def test_sessions_that_vcenter_ends_are_opened_again(place: Place, simulator: Simulator) -> None:
    simulator.disturb_downloads(Download(vm="big", rate=4 << 20, count=1))
    with (
        prepared(place, selection=only("big")) as run,
        during(run.view, Stage.DOWNLOAD, simulator.end_sessions),
    ):
        big = job(run.execute(), "big")
    assert big.state is JobState.DONE


@pytest.mark.parametrize(
    ("signals", "name"),
    [((signal.SIGTERM,), "SIGTERM"), ((signal.SIGHUP,) * 2, "SIGHUP"), ((signal.SIGINT,) * 2, "Ctrl-C")],
)
def test_a_cancelled_run_undoes_what_it_began(
    place: Place, signals: tuple[signal.Signals, ...], name: str
) -> None:
    def interrupt() -> None:
        for number in signals:
            os.kill(os.getpid(), number)
            time.sleep(0.2)

    stages = Stages(download=fleet_run.download_slowly)
    with (
        prepared(place, stages, selection=only("big", "little")) as run,
        during(run.view, Stage.DOWNLOAD, interrupt),
    ):
        view = run.execute()
    assert {one.state for one in view.jobs} == {JobState.CANCELLED}
    with Ledger(place.ledger) as ledger:
        last = ledger.last_run()
        assert last is not None and last.outcome == "interrupted"


def test_under_nohup_nobody_hears_of_a_terminal_that_went_away() -> None:
    heard: list[object] = []
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with listening(heard.append):
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert heard == []


def test_a_run_that_nobody_ends_cleans_up_for_as_long_as_it_takes(
    place: Place, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    trouble: list[str] = []
    left: list[int] = []
    tells: list[Callable[[], None]] = []
    monkeypatch.setattr(RunLedger, "trouble", lambda run: "".join(trouble))
    monkeypatch.setattr(RunLedger, "when_lost", lambda run, tell: tells.append(tell))

    def lose() -> None:
        trouble.append("the ledger is away")
        tells[0]()

    monkeypatch.setattr(os, "_exit", left.append)
    simulator.inject(Rule("RemoveSnapshot_Task", stage="task", delay_ms=200))
    patience = Patience(grace=0.0, heartbeat=3600.0)
    with (
        prepared(
            place, Stages(download=fleet_run.download_slowly), selection=only("little"), patience=patience
        ) as run,
        during(run.view, Stage.DOWNLOAD, lose),
    ):
        view = run.execute()
    assert left == [], "the process ended before its snapshot was gone"
    assert job(view, "little").state is JobState.CANCELLED
    assert view.notes == ("the ledger is away: what was begun is undone",)


def test_one_interrupt_lets_what_is_begun_end(place: Place, simulator: Simulator) -> None:
    simulator.disturb_downloads(Download(vm="big", rate=4 << 20))
    with (
        prepared(place, selection=only("big", "little")) as run,
        during(run.view, Stage.DOWNLOAD, lambda: os.kill(os.getpid(), signal.SIGINT)),
    ):
        view = run.execute()
    assert sorted(one.state for one in view.jobs) == [JobState.CANCELLED, JobState.DONE]


def test_the_ctrl_c_of_a_terminal_reaches_the_workers_too_and_lets_them_work(place: Place) -> None:
    with as_process(place) as (process, begun):
        begun()
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(PATIENCE) == 0
    with Ledger(place.ledger) as ledger:
        last = ledger.last_run()
        assert last is not None and last.outcome == "interrupted"
        states = {one.vm: one.state for one in ledger.jobs(last.run)}
    assert states.pop("big") is JobState.DONE
    assert set(states.values()) == {JobState.CANCELLED, JobState.SKIPPED}


def test_after_a_kill_the_next_run_sweeps_and_does_the_rest(place: Place, simulator: Simulator) -> None:
    with as_process(place) as (process, begun):
        begun()
        process.kill()
    assert len(simulator.snapshots()) == 1
    simulator.end_sessions()  # as vCenter does with idle ones
    with prepared(place, selection=only("big", "little")) as run:
        view = run.execute()
    assert view.swept == 1
    assert {one.state for one in view.jobs} == {JobState.DONE}


def test_a_scheduler_of_ones_own_does_the_same(place: Place, tmp_path: Path) -> None:
    with remote_cluster(tmp_path) as (address, _):
        cluster = ClusterSettings(scheduler=address, scratch=str(place.scratch), connect_seconds=3)
        with prepared(place, selection=only("little"), cluster=cluster) as run:
            view = run.execute()
    assert job(view, "little").state is JobState.DONE
    sweep_scratch(place.scratch)  # a worker that is killed with its scheduler leaves its empty folder


def test_a_scheduler_that_dies_costs_no_snapshot(place: Place, tmp_path: Path, simulator: Simulator) -> None:
    with remote_cluster(tmp_path, ORCHESTRATE_TEST_FOLDER=str(tmp_path)) as (address, scheduler):
        cluster = ClusterSettings(scheduler=address, scratch=str(place.scratch), connect_seconds=3)
        stages = Stages(download=fleet_run.download_slowly)
        patience = Patience(grace=60.0, heartbeat=1.0, worker=4.0)
        with (
            prepared(place, stages, selection=only("little"), cluster=cluster, patience=patience) as run,
            during(run.view, Stage.DOWNLOAD, lambda: os.kill(scheduler.pid, signal.SIGKILL)),
        ):
            view = run.execute()
        assert job(view, "little").state is JobState.CANCELLED
        assert "scheduler is gone" in view.notes[0] and "no Dask worker" in view.notes[1]
        assert simulator.snapshots() == []
    sweep_scratch(place.scratch)


def test_a_second_run_at_the_same_time_is_refused(place: Place) -> None:
    with Ledger(place.ledger) as ledger, prepared(place, selection=only("little")) as run:
        with vcenter(place) as connected:
            other = ledger.begin_run(connected.about().instance_uuid, f"/{DATACENTER}")
        with pytest.raises(LedgerInUseError, match=other.id):
            run.execute()
        other.end("done")


def test_a_run_goes_on_beside_one_over_another_datacenter_and_tells_of_it(place: Place) -> None:
    with Ledger(place.ledger) as ledger, prepared(place, selection=only("little")) as run:
        with vcenter(place) as connected:
            other = ledger.begin_run(connected.about().instance_uuid, "/Empty")
        view = run.execute()
        assert job(view, "little").state is JobState.DONE
        assert [note for note in view.notes if "at work on /Empty of this vCenter" in note] != []
        assert other.trouble() == ""
        assert other.end("done")
