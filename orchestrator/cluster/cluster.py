"""Submits stages one by one, and tells what becomes of them, of the workers and of the scheduler."""

from __future__ import annotations

import concurrent.futures
import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, ExitStack
from typing import Any

from distributed import Future, KilledWorker

from orchestrator.cluster import remote, roll
from orchestrator.cluster.roster import Roster
from orchestrator.cluster.seat import Seat, SeatLostError
from orchestrator.cluster.tasks import Tasks
from orchestrator.cluster.values import (
    CONVERT,
    VCENTER,
    ClusterSettings,
    Listener,
    Progressed,
    SchedulerLost,
    WorkerStage,
)
from orchestrator.errors import ConnectError
from orchestrator.failures import failure_of
from orchestrator.fleet.machine import WorkerJoined
from orchestrator.fleet.states import Failure, WorkerLost
from orchestrator.resident import Desk, TaskDone, TaskFailed, TaskKey

log = logging.getLogger(__name__)

TakeSeat = Callable[[float], AbstractContextManager[Seat]]
"""Takes a seat at the scheduler, given how many seconds it may take to answer; raises ``ConnectError``."""
_RESULT_SECONDS = 30.0
_AGAIN_SECONDS = 1.0
"""Between two tries to find a scheduler that is gone."""
_ANSWER_SECONDS = 5.0
"""For each of them."""
_CANCELLED = Failure(
    "cancelled",
    "Dask cancelled the task, and nobody here asked for it",
    "see the scheduler's log",
    retryable=True,
)


class Cluster:
    """Submits stages and tells the listener what becomes of them; a context manager. Made by ``connect``.

    When the scheduler is gone, its workers count as lost, calls to vCenter are made beside Dask, and a new
    seat is looked for until there is one.
    """

    def __init__(self, take: TakeSeat, desk: Desk, settings: ClusterSettings, listener: Listener) -> None:
        self._take = take
        self._desk = desk
        self._scratch = settings.scratch
        self._local = not settings.scheduler
        self._connect_seconds = settings.connect_seconds
        self._silent_seconds = settings.silent_seconds
        self._roster = Roster(settings.silent_seconds)
        self._listener = listener
        self._lock = threading.Lock()
        self._tasks = Tasks()
        self._seat: Seat | None = None
        """None: the scheduler is gone."""
        self._held = ExitStack()
        """What is given up with the seat."""
        self._closing = threading.Event()
        self._seeking: threading.Thread | None = None

    def __enter__(self) -> Cluster:
        """Take a seat. Raises ``ConnectError``."""
        self._sit_down(self._connect_seconds)
        return self

    def __exit__(self, *about: object) -> None:
        """Hear of nothing more; what still runs is not waited for."""
        with self._lock:
            self._closing.set()
        if self._seeking is not None:
            self._seeking.join()
        if self._seat is not None:
            self._seat.settle()
            self._seat.unsubscribe((self._desk.id, "all"))
        self._held.close()

    @property
    def workers(self) -> Mapping[str, int]:
        """Convert slots by worker."""
        return self._roster.slots

    def call_roll(
        self, question: roll.Question, order: Any, seconds: float, only: Collection[str] | None = None
    ) -> concurrent.futures.Future[roll.RollCall]:
        """Begin to ask every worker that converts, or those in ``only``; see ``roll.take``."""
        if self._seat is None:
            nobody: concurrent.futures.Future[roll.RollCall] = concurrent.futures.Future()
            nobody.set_exception(ConnectionError("the Dask scheduler is gone"))
            return nobody
        return self._seat.begin(roll.take(self._seat.client, question, order, seconds, only))

    def submit_resident(self, key: TaskKey, method: str, *arguments: Any) -> None:
        """Call a method of the resident object: in the resident worker, or here when the scheduler is gone.

        One that lasts is called here whatever the scheduler does.
        """
        if not self._desk.expect(key, method, arguments):
            return
        seat = self._seat
        try:
            if seat is not None:
                task = self._submit(
                    seat, key, VCENTER, seat.resident, remote.run_resident, self._desk.id, key
                )
                task.add_done_callback(lambda ended: self._on_resident_ended(key, ended))
        except SeatLostError:
            self._lose_seat(seat)
        if self._seat is not seat or seat is None:
            self._desk.run_apart(key)

    def submit(self, key: TaskKey, worker: str, stage: WorkerStage, order: Any) -> None:
        """Run a stage on the worker, and nowhere else."""
        seat = self._seat
        try:
            if seat is None:
                raise SeatLostError("the Dask scheduler is gone")
            task = self._submit(
                seat, key, CONVERT, worker, remote.run_stage, stage, order, key, self._desk.id, self._scratch
            )
            task.add_done_callback(lambda ended: self._on_ended(key, worker, ended))
        except SeatLostError:
            self._lose_seat(seat)
            self._listener(WorkerLost(worker))

    def abandon(self, worker: str, job: str, attempt: int) -> None:
        """Nothing of the job's attempts up to this one is wanted from the worker: stop, and clean up."""
        self._tasks.cancel(worker, job, attempt)
        seat = self._seat
        if self._roster.owe(worker, job, attempt) and seat is not None:
            seat.ask(seat.discard(worker, self._scratch, self._desk.id, job, attempt))

    def look(self) -> None:
        """Look for workers that joined or left, and whether the scheduler is there. Call it now and then."""
        seat = self._seat
        if seat is None:
            return
        if seat.lost:
            self._lose_seat(seat)
        else:
            seat.ask(self._look(seat))

    def _sit_down(self, seconds: float) -> None:
        with ExitStack() as stack:
            seat = stack.enter_context(self._take(seconds))
            seat.subscribe({self._desk.id: self._on_progress, "all": self._on_scheduler_event})
            self._held = stack.pop_all()
        self._seat = seat
        self.look()

    def _seek(self) -> None:
        """In a thread of its own: leave the seat that is lost, then look for one until there is one."""
        try:
            self._held.close()
        except Exception:  # whatever Dask says of what it has lost, a new seat is wanted
            log.warning("the Dask scheduler that is gone was not left in good order", exc_info=True)
        while not self._closing.wait(_AGAIN_SECONDS):
            try:
                self._sit_down(_ANSWER_SECONDS)
            except ConnectError as error:
                log.info("%s", error)
            else:
                return  # should it be lost at once, another thread seeks already

    def _submit(
        self, seat: Seat, key: TaskKey, resource: str, worker: str, function: Any, *arguments: Any
    ) -> Future:
        # The cluster may be shared: two runs' keys must differ, or Dask takes the one's task for the other's.
        task = seat.submit(f"{key}@{self._desk.id}", resource, worker, function, *arguments)
        self._tasks.add(key, worker, task)
        return task

    def _on_resident_ended(self, key: TaskKey, task: Future) -> None:
        """In Dask's callback thread; a call that was begun is not made again, and tells its end itself."""
        self._tasks.pop(key)
        self._desk.run_apart(key)
        if task.status == "cancelled":  # as Dask's client does with its tasks when the scheduler is gone
            self.look()

    def _on_ended(self, key: TaskKey, worker: str, task: Future) -> None:
        """In Dask's callback thread."""
        if not self._tasks.pop(key):
            return
        if task.status == "cancelled":
            self.look()  # Dask's client does that when the scheduler is gone, and their workers with it
            if self._seat is not None:
                self._listener(TaskFailed(key, _CANCELLED))
        else:
            self._tell(key, worker, task)

    def _tell(self, key: TaskKey, worker: str, task: Future) -> None:
        try:
            ended = task.result(timeout=_RESULT_SECONDS)
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

    async def _look(self, seat: Seat) -> None:
        """In the client's loop."""
        async with seat.looking:
            try:
                known = await seat.identity(self._silent_seconds)
            except SeatLostError as error:
                log.warning("the Dask scheduler does not answer: %s", error)
                self._lose_seat(seat)
                return
            if seat.resident not in known:
                self._lose_seat(seat)
                return
            changes = self._roster.update(known, time.monotonic())
        for address, slots in changes.joined.items():
            for job, attempt in self._roster.pop_owed(address):
                await seat.discard(address, self._scratch, self._desk.id, job, attempt)
            self._listener(WorkerJoined(address, slots))
        awake = await seat.awake(changes.frozen)
        for address in changes.lost - awake:
            self._lose_worker(address)
        if self._local and (frozen := changes.frozen - awake):
            await seat.restart(sorted(frozen), f"{self._desk.id}-frozen")

    def _lose_worker(self, worker: str) -> None:
        seat = self._seat
        if seat is not None and worker == seat.resident:
            self._lose_seat(seat)
        if self._roster.remove(worker):
            self._listener(WorkerLost(worker))

    def _lose_seat(self, seat: Seat | None) -> None:
        """The scheduler is gone, or has forgotten this process; nothing when that is known already."""
        with self._lock:
            if seat is None or self._seat is not seat or self._closing.is_set():
                return
            self._seat = None
        self._tasks.forget()
        for worker in self.workers:
            self._lose_worker(worker)
        self._listener(SchedulerLost())
        self._desk.run_all_apart()
        # Dask's own threads tell of the loss, and the client that they belong to has to be closed.
        self._seeking = threading.Thread(target=self._seek, name="scheduler-seeker", daemon=True)
        self._seeking.start()
