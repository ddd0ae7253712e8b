"""The only home of Dask: a cluster to convert on, and this process as its resident worker beside vCenter.

Tasks are submitted one by one, with plain values, never futures. Dask itself retries nothing: what ends, ends
as an event, and the state machine decides. What the resident worker does goes through
``orchestrator.resident``, so that it happens once and is heard of even when the scheduler is gone.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import dask.config
from distributed import Client, Future, KilledWorker, LocalCluster, Worker, get_worker
from distributed.client import ClosedClientError
from distributed.utils import sync

from orchestrator import logs
from orchestrator.errors import ConnectError
from orchestrator.failures import failure_of
from orchestrator.fleet.machine import WorkerJoined
from orchestrator.fleet.states import Failure, WorkerLost
from orchestrator.pulse import Pulse
from orchestrator.resident import Desk, TaskDone, TaskFailed, TaskKey
from orchestrator.scratch import Scratch, default_root, sweep
from orchestrator.work import Bench, Work

log = logging.getLogger(__name__)

CONVERT = "convert"
"""Resource of the workers that convert: 1 for each VM they take at one time."""
VCENTER = "vcenter"
"""Resource of the resident worker."""
DASK = "distributed"
PRODUCT = "orchestrate"
"""As packages are called."""
_RESULT_SECONDS = 30.0
_VCENTER_VARIABLES = "GOVC_"
_LOOKED_AT = ("add-worker", "remove-worker")
_KILL_SECONDS = 30.0
_DASK_CONFIG = {
    # One death is enough: the state machine begins a new attempt elsewhere, Dask none at all.
    "distributed.scheduler.allowed-failures": 0,
    # Whoever asks CPython for the frames of all threads may freeze the process: each thread then waits for
    # another, https://github.com/python/cpython/issues/106883, mended in 3.11.9 and 3.12.3.
    "distributed.worker.profile.enabled": False,
}


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """Which workers convert."""

    scheduler: str = ""
    """Address of a running scheduler; empty: workers are started on this machine."""
    workers: int | None = None
    """Local workers; None: one for each processor core."""
    memory: str = "2GiB"
    """Of a local worker."""
    scratch: str = ""
    """Folder on each worker; empty: below its ``TMPDIR``."""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Variables that local workers get beside this process's own, less those that name vCenter."""
    connect_seconds: float = 20.0
    """Until a scheduler that does not answer counts as not there, or as gone."""
    silent_seconds: float = 45.0
    """Without a sign of life, until a worker counts as frozen, and so as lost."""
    resident_threads: int = 32
    """Calls to vCenter at one time; the removal of a snapshot may take hours."""


@dataclass(frozen=True, slots=True)
class Progressed:
    """A stage on a worker tells what it has moved: bytes, by name."""

    job: str
    attempt: int
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class SchedulerLost:
    """The scheduler is gone, and all workers with it; what the resident worker does goes on."""


ClusterEvent = TaskDone | TaskFailed | Progressed | WorkerJoined | WorkerLost | SchedulerLost
Listener = Callable[[ClusterEvent], None]
"""Called from any thread; must not block."""
WorkerStage = Callable[[Any, Work], Any]
"""A stage on a worker: importable there; takes its order and its ``Work``, gives a value that pickles."""


class Cluster:
    """Submits stages and tells the listener what becomes of them. Made by ``connect``."""

    def __init__(
        self, client: Client, desk: Desk, resident: str, settings: ClusterSettings, listener: Listener
    ) -> None:
        self._client = client
        self._desk = desk
        self._resident = resident
        self._scratch = settings.scratch
        self._local = not settings.scheduler
        self._pulse = Pulse(settings.silent_seconds)
        self._listener = listener
        self._lock = threading.Lock()
        self._looking = asyncio.Lock()
        self._futures: dict[TaskKey, tuple[str, Future]] = {}
        self._workers: dict[str, int] = {}
        self._owed: dict[str, list[tuple[str, int]]] = {}
        """By worker that is lost: jobs and attempts that it is to discard if it was only frozen."""
        self._lost = False
        self._apart = False
        """Whether the resident worker is gone: its calls are then made beside Dask."""
        client.subscribe_topic(desk.id, self._on_progress)
        client.subscribe_topic("all", self._on_scheduler_event)
        self.look()

    @property
    def workers(self) -> Mapping[str, int]:
        """Convert slots by worker."""
        with self._lock:
            return dict(self._workers)

    def submit_resident(self, key: TaskKey, method: str, *arguments: Any) -> None:
        """Call a method of the resident object in the resident worker, or here when the scheduler is gone."""
        self._desk.expect(key, method, arguments)
        try:
            if not self._apart:
                self._submit(key, VCENTER, self._resident, _run_resident, self._desk.id, key)
        except ClosedClientError:
            self._apart = True  # the next ``look`` tells of it; what vCenter is to be asked cannot wait
        if self._apart:
            self._desk.run_apart(key)

    def submit(self, key: TaskKey, worker: str, stage: WorkerStage, order: Any) -> None:
        """Run a stage on the worker, and nowhere else."""
        try:
            self._submit(key, CONVERT, worker, _run_stage, stage, order, key, self._desk.id, self._scratch)
        except ClosedClientError:
            self._lose_worker(worker)

    def abandon(self, worker: str, job: str, attempt: int) -> None:
        """Nothing of the job's attempts up to this one is wanted from the worker: stop, and clean up."""
        with self._lock:
            unwanted = [
                key
                for key, (place, _) in self._futures.items()
                if place == worker and key.job == job and key.attempt <= attempt
            ]
            futures = [self._futures.pop(key)[1] for key in unwanted]
            reachable = worker in self._workers and not self._lost
            if not reachable:
                self._owed.setdefault(worker, []).append((job, attempt))
        for future in futures:
            future.cancel()
        if reachable:
            self._client.loop.add_callback(self._discard, worker, job, attempt)

    def look(self) -> None:
        """Look for workers that joined or left, and whether the scheduler is there. Call it now and then."""
        if self._lost:
            return
        if self._client.status in ("closed", "closing"):
            self._lose_scheduler()
        else:
            self._client.loop.add_callback(self._look)

    def close(self) -> None:
        """Hear of nothing more; what still runs is not waited for."""
        if self._client.status == "running":
            for topic in (self._desk.id, "all"):
                self._client.unsubscribe_topic(topic)

    def _submit(self, key: TaskKey, resource: str, worker: str, function: Any, *arguments: Any) -> None:
        # The cluster may be shared: two runs' keys must differ, or Dask takes the one's task for the other's.
        future = self._client.submit(
            function,
            *arguments,
            key=f"{key}@{self._desk.id}",
            workers=[worker],
            allow_other_workers=False,
            resources={resource: 1},
            retries=0,
            pure=False,
        )
        with self._lock:
            self._futures[key] = (worker, future)
        future.add_done_callback(lambda ended: self._on_ended(key, worker, ended))

    def _on_ended(self, key: TaskKey, worker: str, future: Future) -> None:
        """In Dask's callback thread."""
        with self._lock:
            wanted = self._futures.pop(key, None) is not None
        if worker == self._resident:
            self._desk.run_apart(key)  # does nothing when it was begun, as it was unless the worker is gone
        elif wanted and future.status != "cancelled":
            self._tell(key, worker, future)

    def _tell(self, key: TaskKey, worker: str, future: Future) -> None:
        try:
            ended = future.result(timeout=_RESULT_SECONDS)
        except (KilledWorker, TimeoutError):
            self._lose_worker(worker)
        except Exception as error:  # Dask's own, such as a result that cannot be unpickled here
            self._listener(TaskFailed(key, failure_of(error)))
        else:
            self._listener(TaskFailed(key, ended) if isinstance(ended, Failure) else TaskDone(key, ended))

    def _on_progress(self, event: tuple[float, Mapping[str, Any]]) -> None:
        _, message = event
        self._listener(Progressed(message["job"], message["attempt"], message["counts"]))

    def _on_scheduler_event(self, event: tuple[float, Mapping[str, Any]]) -> None:
        _, message = event
        match message:
            case {"action": "add-worker"}:
                self.look()
            case {"action": "remove-worker", "worker": str(worker)}:
                self._lose_worker(worker)

    async def _look(self) -> None:
        """In the client's loop."""
        async with self._looking:
            try:
                identity = await self._client.scheduler.identity(n_workers=-1)
            except (OSError, RuntimeError) as error:  # RuntimeError: the client has closed meanwhile
                log.warning("the Dask scheduler does not answer: %s", error)
                return
            heard = {address: worker["last_seen"] for address, worker in identity["workers"].items()}
            frozen = self._pulse.frozen(heard, time.monotonic())
            found = {
                address: int(worker["resources"].get(CONVERT, 0))
                for address, worker in identity["workers"].items()
                if worker["resources"].get(CONVERT, 0) >= 1 and address not in frozen
            }
            with self._lock:
                joined = {address: slots for address, slots in found.items() if address not in self._workers}
                self._workers.update(joined)
                lost = [address for address in self._workers if address not in found]
        for address, slots in joined.items():
            for job, attempt in self._owed.pop(address, ()):
                await self._discard(address, job, attempt)
            self._listener(WorkerJoined(address, slots))
        for address in lost:
            self._lose_worker(address)
        if self._local and (ours := frozen.intersection(lost)):
            await self._restart(sorted(ours))

    async def _restart(self, workers: list[str]) -> None:
        """Kill workers of our own; their nannies start others."""
        log.warning("workers that gave no sign of life are killed: %s", ", ".join(workers))
        await self._client.scheduler.restart_workers(
            workers=workers,
            timeout=_KILL_SECONDS,
            wait_for_workers=False,
            on_error="return",
            stimulus_id=f"{self._desk.id}-frozen",
        )

    def _lose_worker(self, worker: str) -> None:
        if worker == self._resident:
            self._lose_resident()
        with self._lock:
            known = self._workers.pop(worker, None) is not None
        if known:
            self._listener(WorkerLost(worker))

    def _lose_scheduler(self) -> None:
        self._lost = True
        for worker in self.workers:
            self._lose_worker(worker)
        self._listener(SchedulerLost())
        self._lose_resident()

    def _lose_resident(self) -> None:
        self._apart = True
        self._desk.run_all_apart()

    async def _discard(self, worker: str, job: str, attempt: int) -> None:
        order = (self._scratch, self._desk.id, job, attempt)
        await self._client.run(_discard, *order, workers=[worker], on_error="ignore")


@contextmanager
def connect(settings: ClusterSettings, resident: object, listener: Listener) -> Iterator[Cluster]:
    """A cluster to convert on, with this process as its resident worker; all ends with the block.

    ``resident`` stays in this process; its methods are what ``submit_resident`` calls.
    Raises ``ConnectError`` when the scheduler cannot be reached or local workers cannot be started.
    """
    with ExitStack() as stack:
        client, folder = stack.enter_context(_scheduler(settings))
        desk = stack.enter_context(Desk(resident, listener, settings.resident_threads))
        address = stack.enter_context(_resident_worker(client, desk.id, settings, folder))
        cluster = Cluster(client, desk, address, settings, listener)
        try:
            yield cluster
        finally:
            cluster.close()


@dataclass(frozen=True, slots=True)
class RollCall:
    """The workers that convert, and what each answered to a question. Versions are by package's name."""

    here: Mapping[str, str]
    """Versions of this process: of Python, Dask and the product; empty where something is not there."""
    scheduler: Mapping[str, str]
    workers: Mapping[str, Mapping[str, str]]
    answers: Mapping[str, Any]
    """By worker: what it gave, or a ``Failure``; only workers with this version of the product are asked."""


def call_roll(
    settings: ClusterSettings, question: Callable[[Any], Any], order: Any, seconds: float = 120.0
) -> RollCall:
    """Ask every worker that converts, beside whatever it does now.

    Args:
        question: importable on a worker; takes ``order``, gives a value that pickles.
        seconds: for the answer.

    Raises ``ConnectError`` when the scheduler cannot be reached or local workers cannot be started.
    """
    with _scheduler(settings) as (client, _):
        found = client.scheduler_info(n_workers=-1)["workers"].items()
        converting = [address for address, worker in found if worker["resources"].get(CONVERT, 0) >= 1]
        known = client.get_versions(packages=[PRODUCT])
        here = _versions(known["client"])
        workers = {address: _versions(known["workers"].get(address)) for address in converting}
        able = [address for address, versions in workers.items() if versions[PRODUCT] == here[PRODUCT]]
        answers = (
            client.run(_answer, question, order, seconds, workers=able, on_error="return") if able else {}
        )
    told = {
        address: failure_of(answer) if isinstance(answer, BaseException) else answer
        for address, answer in answers.items()
    }
    return RollCall(here, _versions(known["scheduler"]), workers, told)


def _versions(about: Mapping[str, Any] | None) -> dict[str, str]:
    packages = about["packages"] if about else {}
    python = ".".join((packages.get("python") or "").split(".")[:2])
    return {"python": python, **{name: packages.get(name) or "" for name in (DASK, PRODUCT)}}


@contextmanager
def _scheduler(settings: ClusterSettings) -> Iterator[tuple[Client, str]]:
    """A client of the scheduler, our own or another, and a folder for this process."""
    with ExitStack() as stack:
        stack.enter_context(_without_vcenter_variables())
        stack.enter_context(dask.config.set(_DASK_CONFIG))
        own = Scratch(default_root())  # a temporary folder would outlive a kill
        stack.callback(own.close)
        folder = str(own.path)
        if settings.scheduler:
            target: Any = settings.scheduler
        else:
            target = stack.enter_context(_local_cluster(settings, folder))
        yield stack.enter_context(_client(target, settings.connect_seconds)), folder


@contextmanager
def _local_cluster(settings: ClusterSettings, folder: str) -> Iterator[LocalCluster]:
    root = Path(settings.scratch) if settings.scratch else default_root()
    sweep(root)
    cluster = LocalCluster(
        n_workers=settings.workers or os.cpu_count() or 1,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        resources={CONVERT: 1},
        memory_limit=settings.memory,
        local_directory=folder,
        env=dict(settings.environment),
        preload=[__name__],
    )
    try:
        with cluster:
            yield cluster
    finally:
        sweep(root)


@contextmanager
def _client(target: Any, timeout: float) -> Iterator[Client]:
    try:
        client = Client(target, timeout=timeout, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise ConnectError(
            f"the Dask scheduler {target} cannot be reached: {error}",
            "start it with `dask scheduler`, or leave --scheduler out to use this machine alone",
        ) from error
    with client:
        yield client


@contextmanager
def _resident_worker(client: Client, name: str, settings: ClusterSettings, folder: str) -> Iterator[str]:
    async def start() -> Worker:
        return await Worker(
            client.scheduler.address,
            nthreads=settings.resident_threads,
            name=name,
            resources={VCENTER: settings.resident_threads},
            memory_limit=0,
            local_directory=folder,
            security=client.security,
            dashboard=False,
        )

    worker = client.sync(start)
    try:
        yield worker.address
    finally:
        client.sync(worker.close)


@contextmanager
def _without_vcenter_variables() -> Iterator[None]:
    """What processes started meanwhile inherit: everything but the variables that name vCenter."""
    names = [name for name in os.environ if name.startswith(_VCENTER_VARIABLES)]
    hidden = {name: os.environ.pop(name) for name in names}
    try:
        yield
    finally:
        os.environ.update(hidden)


# What follows runs in workers.


def dask_setup(worker: Worker) -> None:
    """Dask calls this in each local worker when it starts.

    A terminal sends Ctrl-C to all processes of the run: what is to become of the workers, the run decides.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)


async def _answer(question: Callable[[Any], Any], order: Any, seconds: float) -> Any:
    """In the worker's loop; the question itself in a thread, so that the worker goes on."""
    try:
        return await asyncio.wait_for(asyncio.to_thread(question, order), seconds)
    except TimeoutError:
        return Failure("no-answer", f"no answer within {seconds:g} seconds", "see the worker's log")
    except Exception as error:
        return failure_of(error)


def _run_resident(desk: str, key: TaskKey) -> None:
    Desk.find(desk).run(key)


def _run_stage(stage: WorkerStage, order: Any, key: TaskKey, topic: str, scratch: str) -> Any:
    """The stage's value, or its ``Failure``: Dask logs the arguments of what raises, tickets and all."""
    worker = get_worker()
    _stop_profiler(worker)

    def send(counts: Mapping[str, int]) -> None:
        worker.log_event(topic, {"job": key.job, "attempt": key.attempt, "counts": dict(counts)})

    with logs.about(key.subject):
        try:
            bench = _bench(scratch)
            _forget_dead_runs(worker, bench, topic)
            with bench.working(topic, key.job, key.attempt, send) as work:
                return stage(order, work)
        except Exception as error:
            return failure_of(error)


def _stop_profiler(worker: Worker) -> None:
    """For workers of other schedulers, whose configuration is not ours: see ``_DASK_CONFIG``."""
    profiler = worker.periodic_callbacks.get("profile")
    if profiler is not None:
        worker.loop.add_callback(profiler.stop)


def _forget_dead_runs(worker: Worker, bench: Bench, own: str) -> None:
    """Workers of a shared scheduler outlive runs; one that was killed has not cleaned up here.

    A run is alive while its resident worker is, which bears its desk's name.
    """
    others = bench.runs() - {own}
    if not others:
        return
    try:
        identity = sync(
            worker.loop, worker.scheduler.identity, n_workers=-1, callback_timeout=_RESULT_SECONDS
        )
    except OSError as error:  # the next stage asks again
        log.info("the scheduler does not say which runs are at work: %s", error)
        return
    alive = {str(found["name"]) for found in identity["workers"].values()}
    for run in others - alive:
        bench.forget(run)


def _discard(scratch: str, run: str, job: str, attempt: int) -> None:
    _bench(scratch).discard(run, job, attempt)


@cache
def _bench(scratch: str) -> Bench:
    return Bench(Scratch(Path(scratch) if scratch else default_root()))
