"""What runs in workers: stages with their scratch space, and the answers to questions."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from distributed import Worker, get_worker
from distributed.utils import sync

from orchestrator import logs
from orchestrator.cluster.values import WorkerStage
from orchestrator.failures import failure_of
from orchestrator.fleet.states import Failure
from orchestrator.resident import Desk, TaskKey
from orchestrator.scratch import Scratch, default_root
from orchestrator.work import Bench

log = logging.getLogger(__name__)

_ALIVE_SECONDS = 30.0
"""For the scheduler to say which runs are at work."""


def dask_setup(worker: Worker) -> None:
    """Dask calls this in each local worker when it starts.

    A terminal sends Ctrl-C to all processes of the run: what is to become of the workers, the run decides.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)


async def answer(question: Callable[[Any], Any], order: Any, seconds: float) -> Any:
    """What the question gives, or a ``Failure``.

    In the worker's loop; the question itself in a thread, so that the worker goes on.
    """
    try:
        return await asyncio.wait_for(asyncio.to_thread(question, order), seconds)
    except TimeoutError:
        return Failure("no-answer", f"no answer within {seconds:g} seconds", "see the worker's log")
    except Exception as error:
        return failure_of(error)


def run_resident(desk: str, key: TaskKey) -> None:
    """Make a call that a desk of this process expects."""
    Desk.find(desk).run(key)


def run_stage(stage: WorkerStage, order: Any, key: TaskKey, topic: str, scratch: str) -> Any:
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
    """For workers of other schedulers, whose configuration is not ours: see ``start.DASK_CONFIG``."""
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
        identity = sync(worker.loop, worker.scheduler.identity, n_workers=-1, callback_timeout=_ALIVE_SECONDS)
    except OSError as error:  # the next stage asks again
        log.info("the scheduler does not say which runs are at work: %s", error)
        return
    alive = {str(found["name"]) for found in identity["workers"].values()}
    for run in others - alive:
        bench.forget(run)


def discard(scratch: str, run: str, job: str, attempt: int) -> None:
    """Stop the job's attempts up to this one, and remove what they left."""
    _bench(scratch).discard(run, job, attempt)


@cache
def _bench(scratch: str) -> Bench:
    return Bench(Scratch(Path(scratch) if scratch else default_root()))
