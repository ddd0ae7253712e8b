"""A real Dask cluster: what is told of tasks, of workers that die, of a scheduler that is gone."""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest
from distributed import Client, Future, Scheduler

from deploy.demo.registry import free_port
from orchestrator.cluster import (
    Cluster,
    ClusterEvent,
    ClusterSettings,
    Progressed,
    SchedulerLost,
    connect,
)
from orchestrator.errors import ConnectError, LeaseError
from orchestrator.fleet.machine import WorkerJoined
from orchestrator.fleet.states import WorkerLost
from orchestrator.resident import TaskDone, TaskFailed, TaskKey, lasting
from tests.orchestrator import stages
from tests.orchestrator.dask_processes import remote_cluster
from tests.waiting import until

T = TypeVar("T")
PATIENCE = 60.0


class Resident:
    """Stands where vCenter's session does."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.gate = threading.Event()

    def where(self, word: str) -> tuple[str, int]:
        self.calls.append(word)
        return word, os.getpid()

    def refuse(self) -> None:
        raise LeaseError("no lease today")

    @lasting
    def release(self) -> str:
        return "released"

    def wait(self) -> str:
        self.calls.append("wait")
        self.gate.wait(PATIENCE)
        return "waited"


@dataclass
class Watched:
    """A cluster and everything it told, in order."""

    cluster: Cluster
    resident: Resident
    events: queue.SimpleQueue[ClusterEvent]
    heard: list[ClusterEvent] = field(default_factory=list)

    def wait_for(self, kind: type[T], matches: Callable[[T], bool] = lambda event: True) -> T:
        deadline = time.monotonic() + PATIENCE
        seen = 0
        while True:
            for event in self.heard[seen:]:
                if isinstance(event, kind) and matches(event):
                    self.heard.remove(event)
                    return event
            seen = len(self.heard)
            self.heard.append(self.events.get(timeout=deadline - time.monotonic()))

    def outcome(self, key: TaskKey) -> TaskDone | TaskFailed:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for event in self.heard:
                if isinstance(event, TaskDone | TaskFailed) and event.key == key:
                    return event
            self.heard.append(self.events.get(timeout=deadline - time.monotonic()))
        raise TimeoutError(str(key))


@contextmanager
def watched(settings: ClusterSettings) -> Iterator[Watched]:
    events: queue.SimpleQueue[ClusterEvent] = queue.SimpleQueue()
    resident = Resident()
    with connect(settings, resident, events.put) as cluster:
        yield Watched(cluster, resident, events)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


@pytest.fixture(scope="module")
def running(scratch: Path) -> Iterator[Watched]:
    os.environ["GOVC_PASSWORD"] = "secret"
    try:
        with watched(ClusterSettings(workers=2, memory="512MiB", scratch=str(scratch))) as cluster:
            assert "GOVC_PASSWORD" not in os.environ
            for _ in range(2):
                cluster.wait_for(WorkerJoined)
            yield cluster
        assert os.environ["GOVC_PASSWORD"] == "secret"
        assert list(scratch.glob("orchestrate-worker-*")) == []
    finally:
        del os.environ["GOVC_PASSWORD"]


@pytest.fixture
def worker(running: Watched) -> str:
    return next(iter(running.cluster.workers))


_numbers = iter(range(1000))


def key(stage: str = "convert", attempt: int = 1) -> TaskKey:
    return TaskKey("web-01", f"job{next(_numbers)}", stage, attempt)


def tasks(dask_scheduler: Scheduler) -> list[str]:
    """The names of all tasks; on the scheduler."""
    return list(dask_scheduler.tasks)


async def forget_residents(dask_scheduler: Scheduler) -> None:
    """Remove the workers of control planes; on the scheduler."""
    for address, worker in list(dask_scheduler.workers.items()):
        if "vcenter" in worker.resources:
            await dask_scheduler.remove_worker(address, stimulus_id="test", close=False)


def look_until(running: Watched, wanted: ClusterEvent) -> bool:
    running.cluster.look()
    while not running.events.empty():
        running.heard.append(running.events.get())
    return wanted in running.heard


def test_a_task_is_named_after_vm_job_stage_and_attempt() -> None:
    assert str(TaskKey("web-01", "4f2a", "convert", 2)) == "web-01-4f2a/convert/2"


def test_the_resident_is_called_in_this_process(running: Watched) -> None:
    task = key("snapshot")
    running.cluster.submit_resident(task, "where", "here")
    assert running.outcome(task) == TaskDone(task, ("here", os.getpid()))


def test_an_error_of_the_resident_is_data(running: Watched) -> None:
    task = key("export")
    running.cluster.submit_resident(task, "refuse")
    outcome = running.outcome(task)
    assert isinstance(outcome, TaskFailed)
    assert (outcome.failure.kind, outcome.failure.retryable) == ("lease", True)


def test_a_stage_runs_where_it_is_told_without_knowing_vcenter(running: Watched) -> None:
    pids = set()
    for address in running.cluster.workers:
        task = key()
        running.cluster.submit(task, address, stages.tell_process, None)
        outcome = running.outcome(task)
        assert isinstance(outcome, TaskDone)
        pid, _, variables = outcome.value
        assert variables == []
        pids.add(pid)
    assert len(pids) == 2 and os.getpid() not in pids


def test_no_profiler_runs_where_it_could_freeze_the_worker(running: Watched, worker: str) -> None:
    task = key()
    running.cluster.submit(task, worker, stages.tell_profiling, None)
    assert running.outcome(task) == TaskDone(task, False)


def test_plain_values_arrive_as_they_are(running: Watched, worker: str) -> None:
    order = (TaskKey("a", "b", "c", 1), b"\x00\xff", {"nested": (1, "größe")}, Path("/x"))
    task = key()
    running.cluster.submit(task, worker, stages.give, order)
    assert running.outcome(task) == TaskDone(task, order)


def test_an_error_of_a_stage_is_data(running: Watched, worker: str) -> None:
    task = key()
    running.cluster.submit(task, worker, stages.fail, "cut")
    outcome = running.outcome(task)
    assert isinstance(outcome, TaskFailed)
    assert (outcome.failure.kind, outcome.failure.message) == ("stream", "cut")
    assert outcome.failure.retryable and outcome.failure.hint == "try again"


def test_a_defect_is_a_failure_that_is_not_retried(running: Watched, worker: str) -> None:
    task = key()
    running.cluster.submit(task, worker, stages.break_down, "by zero")
    outcome = running.outcome(task)
    assert isinstance(outcome, TaskFailed)
    assert outcome.failure.kind == "internal" and "ZeroDivisionError" in outcome.failure.message
    assert not outcome.failure.retryable


def test_scratch_stays_for_the_next_stage_and_goes_when_discarded(running: Watched, worker: str) -> None:
    task = key("download")
    running.cluster.submit(task, worker, stages.keep, "disk-0.raw")
    outcome = running.outcome(task)
    assert isinstance(outcome, TaskDone)
    kept = Path(outcome.value)
    assert kept.read_text() == "kept"
    assert kept.parent.stat().st_mode & 0o777 == 0o700
    running.cluster.abandon(worker, task.job, 1)
    until(lambda: not kept.parent.exists())


def test_an_abandoned_stage_stops_cleans_up_and_is_not_heard_of(
    running: Watched, worker: str, scratch: Path, tmp_path: Path
) -> None:
    task = key("download")
    stopped = tmp_path / "stopped"
    running.cluster.submit(task, worker, stages.wait_until_stopped, str(stopped))
    running.wait_for(Progressed, lambda event: event.job == task.job and event.counts["received"] > 1)
    running.cluster.abandon(worker, task.job, 1)
    until(stopped.exists)
    until(lambda: not list(scratch.glob(f"*/*/{task.job}")))
    after = key()
    running.cluster.submit(after, worker, stages.give, 1)
    running.outcome(after)
    assert not [e for e in running.heard if isinstance(e, TaskDone | TaskFailed) and e.key == task]


def test_a_killed_worker_is_told_and_comes_back_and_its_scratch_goes(
    running: Watched, scratch: Path, tmp_path: Path
) -> None:
    victim = next(iter(running.cluster.workers))
    before, task = key("download"), key("convert")
    running.cluster.submit(before, victim, stages.keep, "disk-0.raw")
    outcome = running.outcome(before)
    assert isinstance(outcome, TaskDone)
    running.cluster.submit(task, victim, stages.die_once, str(tmp_path / "died"))
    running.wait_for(WorkerLost, lambda event: event.worker == victim)
    joined = running.wait_for(WorkerJoined)
    assert joined.slots == 1
    running.cluster.abandon(victim, task.job, 1)
    again = key("convert", 2)
    running.cluster.submit(again, joined.worker, stages.die_once, str(tmp_path / "died"))
    assert running.outcome(again) == TaskDone(again, "alive")
    assert not Path(outcome.value).exists()
    assert len(running.cluster.workers) == 2


def test_a_call_to_vcenter_survives_the_end_of_the_scheduler(tmp_path: Path) -> None:
    with remote_cluster(tmp_path) as (address, scheduler):
        settings = ClusterSettings(scheduler=address, scratch=str(tmp_path), connect_seconds=3)
        with watched(settings) as running:
            worker = running.wait_for(WorkerJoined).worker
            asked, begun = key(), key("release")
            running.cluster.submit(asked, worker, stages.tell_profiling, None)
            assert running.outcome(asked) == TaskDone(asked, False)
            running.cluster.submit_resident(begun, "wait")
            until(lambda: running.resident.calls == ["wait"])
            os.kill(scheduler.pid, signal.SIGKILL)
            until(lambda: look_until(running, SchedulerLost()), PATIENCE)
            running.wait_for(WorkerLost, lambda event: event.worker == worker)
            running.resident.gate.set()
            assert running.outcome(begun) == TaskDone(begun, "waited")
            late = key("release")
            running.cluster.submit_resident(late, "where", "late")
            assert running.outcome(late) == TaskDone(late, ("late", os.getpid()))
            assert running.resident.calls == ["wait", "late"]


@pytest.fixture
def stranger(running: Watched, worker: str) -> Iterator[Client]:
    """Somebody else's client of the same scheduler."""
    task = key()
    running.cluster.submit(task, worker, stages.tell_scheduler, None)
    told = running.outcome(task)
    assert isinstance(told, TaskDone)
    with Client(told.value, set_as_default=False) as client:
        yield client


def test_a_task_that_somebody_else_cancels_has_failed(
    running: Watched, worker: str, stranger: Client, tmp_path: Path
) -> None:
    task = key("download")
    running.cluster.submit(task, worker, stages.wait_until_stopped, str(tmp_path / "stopped"))
    running.wait_for(Progressed, lambda event: event.job == task.job)
    (known,) = [name for name in stranger.run_on_scheduler(tasks) if name.startswith(f"{task}@")]
    Future(known, stranger).cancel(force=True)
    outcome = running.outcome(task)
    assert isinstance(outcome, TaskFailed)
    assert outcome.failure.kind == "cancelled" and outcome.failure.retryable
    running.cluster.abandon(worker, task.job, 1)
    until((tmp_path / "stopped").exists)


def test_a_scheduler_that_has_forgotten_this_process_is_joined_again(
    running: Watched, stranger: Client
) -> None:
    stranger.run_on_scheduler(forget_residents)
    until(lambda: look_until(running, SchedulerLost()), PATIENCE)
    for _ in range(2):
        running.wait_for(WorkerJoined)
    task = key("release")
    running.cluster.submit_resident(task, "where", "again")
    assert running.outcome(task) == TaskDone(task, ("again", os.getpid()))


def test_a_scheduler_that_is_back_is_found_again(tmp_path: Path) -> None:
    port = free_port()
    with ExitStack() as stack:
        address, scheduler = stack.enter_context(remote_cluster(tmp_path, port=port))
        running = stack.enter_context(watched(ClusterSettings(scheduler=address, scratch=str(tmp_path))))
        worker = running.wait_for(WorkerJoined).worker
        task = key("download")
        running.cluster.submit(task, worker, stages.wait_until_stopped, str(tmp_path / "stopped"))
        running.wait_for(Progressed)
        os.kill(scheduler.pid, signal.SIGKILL)
        running.wait_for(WorkerLost, lambda event: event.worker == worker)
        running.wait_for(SchedulerLost)
        assert running.cluster.workers == {}
        stack.enter_context(remote_cluster(tmp_path, port=port))
        another = running.wait_for(WorkerJoined).worker
        after, beside = key(), key("release")
        running.cluster.submit(after, another, stages.give, 1)
        assert running.outcome(after) == TaskDone(after, 1)
        running.cluster.submit_resident(beside, "where", "again")
        assert running.outcome(beside) == TaskDone(beside, ("again", os.getpid()))
        assert not [e for e in running.heard if isinstance(e, TaskDone | TaskFailed) and e.key == task]


def test_a_frozen_scheduler_is_given_up_and_holds_up_no_removal(tmp_path: Path) -> None:
    with remote_cluster(tmp_path) as (address, scheduler), ExitStack() as stack:
        settings = ClusterSettings(address, scratch=str(tmp_path), connect_seconds=3, silent_seconds=2)
        running = stack.enter_context(watched(settings))
        worker = running.wait_for(WorkerJoined).worker
        os.kill(scheduler.pid, signal.SIGSTOP)
        try:
            removed, asked = key("release"), key("export")
            running.cluster.submit_resident(asked, "where", "asked before it was noticed")
            running.cluster.submit_resident(removed, "release")
            assert running.outcome(removed) == TaskDone(removed, "released")
            assert running.cluster.workers, "it was not noticed yet"
            until(lambda: look_until(running, SchedulerLost()), 10)
            running.wait_for(WorkerLost, lambda event: event.worker == worker)
            assert isinstance(running.outcome(asked), TaskDone)
            begun = time.monotonic()
        finally:
            os.kill(scheduler.pid, signal.SIGCONT)
        running.wait_for(WorkerJoined)
        assert time.monotonic() - begun < 20


def test_a_frozen_worker_is_lost_and_cleans_up_once_it_is_heard_of_again(tmp_path: Path) -> None:
    scratch, stopped = tmp_path / "scratch", tmp_path / "stopped"
    with remote_cluster(tmp_path) as (address, _):
        settings = ClusterSettings(scheduler=address, scratch=str(scratch), silent_seconds=4)
        with watched(settings) as running:
            worker = running.wait_for(WorkerJoined).worker
            asked, task = key(), key("download")
            running.cluster.submit(asked, worker, stages.tell_process, None)
            told = running.outcome(asked)
            assert isinstance(told, TaskDone)
            running.cluster.submit(task, worker, stages.wait_until_stopped, str(stopped))
            running.wait_for(Progressed, lambda event: event.job == task.job)
            pid = told.value[0]
            os.kill(pid, signal.SIGSTOP)
            try:
                until(lambda: look_until(running, WorkerLost(worker)), PATIENCE)
                running.cluster.abandon(worker, task.job, task.attempt)
            finally:
                os.kill(pid, signal.SIGCONT)
            until(lambda: look_until(running, WorkerJoined(worker, 1)), PATIENCE)
            until(stopped.exists)
            until(lambda: not list(scratch.glob(f"*/*/{task.job}")))


def test_a_scheduler_that_is_not_there_is_named() -> None:
    settings = ClusterSettings("tcp://127.0.0.1:9", connect_seconds=1)
    with pytest.raises(ConnectError, match=r"127\.0\.0\.1:9"), watched(settings):
        pass
