"""This process's place at a Dask scheduler: a client of it, and the resident worker beside vCenter."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping
from concurrent.futures import Future as Running
from concurrent.futures import wait
from contextlib import contextmanager
from typing import Any, TypeVar

from distributed import Client, Future, Worker
from distributed.client import ClosedClientError

from orchestrator.cluster import remote
from orchestrator.cluster.values import VCENTER, ClusterSettings
from orchestrator.errors import ConnectError

log = logging.getLogger(__name__)
T = TypeVar("T")

_KILL_SECONDS = 30.0
_ANSWER_SECONDS = 3.0
"""For a worker that was not heard of to show that it is awake."""
_LAST_SECONDS = 5.0
"""For what was asked of workers last, such as to clean up, when the seat is given up."""


class SeatLostError(Exception):
    """The scheduler is gone, or does not know this process any more."""


class Seat:
    """Whoever is at it can submit tasks and ask after workers; lost once, it stays lost. Thread-safe."""

    def __init__(self, client: Client, resident: str) -> None:
        self.client = client
        self.resident = resident
        """Address of the resident worker."""
        self.looking = asyncio.Lock()
        """Held by whoever asks the scheduler after workers, in the client's loop."""
        self._asked: set[Running[Any]] = set()

    @property
    def lost(self) -> bool:
        """Whether the scheduler is gone. A client that reconnects has lost its tasks and its worker."""
        return bool(self.client.status != "running")

    def submit(self, key: str, resource: str, worker: str, function: Any, *arguments: Any) -> Future:
        """A task that Dask runs on ``worker`` and nowhere else, once. Raises ``SeatLostError``."""
        try:
            return self.client.submit(
                function,
                *arguments,
                key=key,
                workers=[worker],
                allow_other_workers=False,
                resources={resource: 1},
                retries=0,
                pure=False,
            )
        except ClosedClientError as error:
            raise SeatLostError(str(error)) from error

    def subscribe(self, handlers: Mapping[str, Callable[[Any], None]]) -> None:
        """Hear of events, by topic."""
        for topic, handler in handlers.items():
            self.client.subscribe_topic(topic, handler)

    def unsubscribe(self, topics: Collection[str]) -> None:
        """Hear of them no more."""
        if not self.lost:
            for topic in topics:
                self.client.unsubscribe_topic(topic)

    def begin(self, question: Coroutine[Any, Any, T]) -> Running[T]:
        """Run a coroutine in the client's loop; cancelled when the seat is given up."""
        try:
            running = asyncio.run_coroutine_threadsafe(question, self.client.loop.asyncio_loop)
        except RuntimeError as error:  # the loop has ended with the client
            question.close()
            running = Running()
            running.set_exception(ConnectionError(f"the Dask client has closed: {error}"))
        self._asked.add(running)
        running.add_done_callback(self._asked.discard)
        return running

    def ask(self, question: Coroutine[Any, Any, None]) -> None:
        """The same, when it is of no interest how it ends."""

        async def asked() -> None:
            try:
                await question
            except (OSError, RuntimeError) as error:  # who was asked is gone, or the client has closed
                log.info("Dask was asked in vain: %s", error)

        self.begin(asked())

    def settle(self) -> None:
        """Wait a little for what was asked."""
        if not self.lost:
            wait(tuple(self._asked), _LAST_SECONDS)

    def give_up(self) -> None:
        """Wait for nothing more."""
        for running in tuple(self._asked):
            running.cancel()

    async def identity(self, seconds: float) -> Mapping[str, Any]:
        """What the scheduler knows of all workers, by address.

        Raises ``SeatLostError`` when it is gone, or gives no answer within so many seconds: one that is
        frozen keeps its connections open.
        """
        try:
            async with asyncio.timeout(seconds):
                found = await self.client.scheduler.identity(n_workers=-1)
        except TimeoutError as error:
            raise SeatLostError(f"no answer within {seconds:g} seconds") from error
        except (OSError, RuntimeError, AttributeError) as error:  # the last two: the client has closed
            raise SeatLostError(str(error)) from error
        workers: Mapping[str, Any] = found["workers"]
        return workers

    async def discard(self, worker: str, scratch: str, run: str, job: str, attempt: int) -> None:
        """Have the worker stop the job's attempts up to this one, and remove what they left."""
        order = (scratch, run, job, attempt)
        await self.client.run(remote.discard, *order, workers=[worker], on_error="ignore")

    async def awake(self, workers: Collection[str]) -> frozenset[str]:
        """Those that answer when they are asked.

        Where somebody sets the clock back, tornado's periodic callbacks, and so Dask's heartbeats, stop until
        that clock is where it was.
        """

        async def answers(worker: str) -> bool:
            try:
                async with asyncio.timeout(_ANSWER_SECONDS):
                    return worker in await self.client.run(os.getpid, workers=[worker], on_error="ignore")
            except (OSError, RuntimeError, ValueError):  # it, the scheduler or the client is gone
                return False

        answered = await asyncio.gather(*map(answers, workers))
        return frozenset(worker for worker, awake in zip(workers, answered, strict=True) if awake)

    async def restart(self, workers: Collection[str], cause: str) -> None:
        """Kill workers of our own; their nannies start others."""
        log.warning("workers that gave no sign of life are killed: %s", ", ".join(workers))
        await self.client.scheduler.restart_workers(
            workers=list(workers),
            timeout=_KILL_SECONDS,
            wait_for_workers=False,
            on_error="return",
            stimulus_id=cause,
        )


@contextmanager
def client_of(target: Any, seconds: float) -> Iterator[Client]:
    """A client of the scheduler ``target``: an address, or a cluster. Raises ``ConnectError``."""
    try:
        client = Client(target, timeout=seconds, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise ConnectError(
            f"the Dask scheduler {target} cannot be reached: {error}",
            "start it with `dask scheduler`, or leave --scheduler out to use this machine alone",
        ) from error
    with client:
        yield client


@contextmanager
def seated(target: Any, folder: str, name: str, settings: ClusterSettings) -> Iterator[Seat]:
    """A seat at the scheduler ``target``, given up with the block.

    Args:
        folder: where the resident worker has its files.
        name: the resident worker's; no other of the scheduler may bear it.

    Raises ``ConnectError`` when the scheduler cannot be reached.
    """
    with client_of(target, settings.connect_seconds) as client:

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

        try:
            worker = client.sync(start)
        except (
            OSError,
            RuntimeError,
            ValueError,
        ) as error:  # Dask's answer to a name that is taken is the last
            raise ConnectError(
                f"the Dask scheduler {target} does not take this process as a worker: {error}",
                "see the scheduler's log",
            ) from error
        seat = Seat(client, worker.address)
        try:
            yield seat
        finally:
            seat.give_up()
            client.sync(worker.close)
