"""Whether a run is still at work: by its process where that can be seen, else by its heartbeats."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from orchestrator.ledger.database import Moment, boot
from orchestrator.ledger.records import Process, RunRecord

_START_TICKS = 19
"""Position of ``starttime`` after the name in /proc/PID/stat (proc(5))."""


@dataclass(frozen=True, slots=True)
class Timing:
    """The rhythm of runs, in seconds; the same for all orchestrators of a ledger."""

    beat: float = 15.0
    """Between two heartbeats of a run."""
    silent: float = 180.0
    """After this long without one, a run is suspected."""
    watch: float = 35.0
    """A suspected run that lets this pass, two heartbeats, is dead: a clock that was set makes none so."""
    answer: float = 5.0
    """A database that takes longer for a write is not waited for any more, until it has caught up."""
    patience: float = 120.0
    """How long a run waits for a database that is away; well below ``silent``."""


class Standing(StrEnum):
    """What can be said of a run at once."""

    ALIVE = "alive"
    DEAD = "dead"
    SUSPECT = "suspect"
    """Not heard of, or by a clock that is not ours: it is dead if it makes no sign while it is watched."""


@cache
def _place(pid: int) -> str:
    return f"{boot()} {Path(f'/proc/{pid}/ns/pid').readlink()}"


def this_process() -> Process:
    """The calling process."""
    pid = os.getpid()
    return Process(_place(pid), pid, _started(pid) or 0)


def standing(run: RunRecord, here: Process, now: Moment, timing: Timing) -> Standing:
    """Whether a run that the ledger has as unended is at work; ``here`` is whoever asks, at ``now``."""
    if run.process is not None and run.process.place == here.place:
        started = _started(run.process.pid)
        if started != run.process.started:
            return Standing.DEAD
    if run.clock == now.clock and 0 <= now.seconds - run.heartbeat <= timing.silent:
        return Standing.ALIVE
    return Standing.SUSPECT


def _started(pid: int) -> int | None:
    """When the process was started; None when there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[_START_TICKS])
