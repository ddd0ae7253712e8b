"""Submits stages one by one, and tells what becomes of them, of the workers and of the scheduler."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
import time
from collections.abc import Collection, Mapping
from typing import Any

from distributed import Client, Future, KilledWorker
from distributed.client import ClosedClientError

from orchestrator.cluster import remote, roll
from orchestrator.cluster.values import (
    CONVERT,
    VCENTER,
    ClusterSettings,
    Listener,
    Progressed,
    SchedulerLost,
    WorkerStage,
)
from orchestrator.failures import failure_of
from orchestrator.fleet.machine import WorkerJoined
from orchestrator.fleet.states import Failure, WorkerLost
from orchestrator.pulse import Pulse
from orchestrator.resident import Desk, TaskDone, TaskFailed, TaskKey

log = logging.getLogger(__name__)

_RESULT_SECONDS = 30.0
_KILL_SECONDS = 30.0


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

    def call_roll(
        self, question: roll.Question, order: Any, seconds: float, only: Collection[str] | None = None
    ) -> concurrent.futures.Future[roll.RollCall]:
        """Begin to ask every worker that converts, or those in ``only``; see ``roll.take``."""
        asking = roll.take(self._client, question, order, seconds, only)
        return asyncio.run_coroutine_threadsafe(asking, self._client.loop.asyncio_loop)

    def submit_resident(self, key: TaskKey, method: str, *arguments: Any) -> None:
        """Call a method of the resident object in the resident worker, or here when the scheduler is gone."""
        self._desk.expect(key, method, arguments)
        try:
            if not self._apart:
                self._submit(key, VCENTER, self._resident, remote.run_resident, self._desk.id, key)
        except ClosedClientError:
            self._apart = True  # the next ``look`` tells of it; what vCenter is to be asked cannot wait
        if self._apart:
            self._desk.run_apart(key)

    def submit(self, key: TaskKey, worker: str, stage: WorkerStage, order: Any) -> None:
        """Run a stage on the worker, and nowhere else."""
        try:
            self._submit(
                key, CONVERT, worker, remote.run_stage, stage, order, key, self._desk.id, self._scratch
            )
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
        await self._client.run(remote.discard, *order, workers=[worker], on_error="ignore")
