"""Stages that tests run on real workers: what they do is written in their order."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from distributed import get_worker

from converters.errors import StreamError
from orchestrator.work import Work
from tests.waiting import until


def tell_process(order: object, work: Work) -> tuple[int, str, list[str]]:
    """Process id, scratch folder, and the environment's names that speak of vCenter."""
    return os.getpid(), str(work.scratch), [name for name in os.environ if name.startswith("GOVC_")]


def tell_profiling(order: object, work: Work) -> bool:
    """Whether Dask's profiler goes on in this process, a moment after the stage was begun."""
    profiler = get_worker().periodic_callbacks.get("profile")
    with suppress(TimeoutError):
        until(lambda: profiler is None or not profiler.is_running(), 2.0)
    return profiler is not None and profiler.is_running()


def tell_scheduler(order: object, work: Work) -> str:
    """Address of the scheduler."""
    return str(get_worker().scheduler.address)


def give(order: object, work: Work) -> object:
    """The order itself."""
    return order


def fail(order: str, work: Work) -> None:
    """Fail as a cut download does."""
    raise StreamError(order, "try again")


def break_down(order: str, work: Work) -> None:
    """Fail in a way nobody thought of."""
    raise ZeroDivisionError(order)


def keep(order: str, work: Work) -> str:
    """Leave a file in scratch for a later stage."""
    (work.scratch / order).write_text("kept")
    work.keep = True
    return str(work.scratch / order)


def wait_until_stopped(order: str, work: Work) -> None:
    """Report until nobody wants the result; then say so in the file ``order``."""
    (work.scratch / "half").write_text("half a disk")
    moved = 0
    try:
        while True:
            moved += 1
            work.report(received=moved)
            time.sleep(0.02)
    finally:
        Path(order).write_text("stopped")


def die_once(order: str, work: Work) -> str:
    """Be killed, but only where the file ``order`` is not there yet."""
    marker = Path(order)
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "alive"
