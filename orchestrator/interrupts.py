"""Signals become events: the first Ctrl-C drains, the second cancels, the third ends the process at once."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from orchestrator.errors import ExitCode
from orchestrator.fleet.machine import Interrupted, Terminated

SWEEP_HINT = "snapshots may be left in vCenter; remove them with: orchestrate sweep"


@contextmanager
def listening(
    listener: Callable[[Interrupted | Terminated], None], sweep_hint: str = SWEEP_HINT
) -> Iterator[None]:
    """Tell SIGINT, SIGTERM and SIGHUP to ``listener``, which must be reentrant; only in the main thread.

    The third SIGINT prints ``sweep_hint`` and exits without any clean-up.
    """
    count = 0

    def interrupted(number: int, frame: FrameType | None) -> None:
        nonlocal count
        count += 1
        if count > 2:
            exit_now(sweep_hint)
        listener(Interrupted())

    def terminated(number: int, frame: FrameType | None) -> None:
        listener(Terminated())

    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, interrupted),
        signal.SIGTERM: signal.signal(signal.SIGTERM, terminated),
    }
    if minds_hangup():
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, terminated)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def minds_hangup() -> bool:
    """Whether a terminal that goes away is to end the process; under ``nohup`` it is not."""
    return signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN


def exit_now(message: str) -> None:
    """End the process, its threads where they are; children of a local cluster end by themselves."""
    with suppress(OSError):  # the terminal may be gone
        print(f"orchestrate: {message}", file=sys.stderr, flush=True)
    os._exit(ExitCode.INTERRUPTED)
