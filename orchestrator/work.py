"""What a stage on a worker gets beside its order: scratch space, a way to report, a word to stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.failures import StoppedError
from orchestrator.scratch import Scratch

REPORT_SECONDS = 1.0
"""The most often a stage reports."""


@dataclass(slots=True, eq=False)
class Work:
    """One stage at work on one attempt. Thread-safe."""

    run: str
    job: str
    attempt: int
    scratch: Path
    """The attempt's own folder."""
    send: Callable[[Mapping[str, int]], None]
    keep: bool = False
    """Whether the folder is still needed when the stage has ended; the stage says so."""
    _stopped: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _counts: dict[str, int] = field(default_factory=dict)
    _next: float = 0.0

    def report(self, **counts: int) -> None:
        """Bytes moved so far, by name; sent at most once a second, so call it as often as you like.

        Raises ``StoppedError`` when the attempt is not wanted any more.
        """
        self.check()
        with self._lock:
            self._counts.update(counts)
            if time.monotonic() >= self._next:
                self._send()

    def flush(self) -> None:
        """Send what was not sent yet."""
        with self._lock:
            if self._counts:
                self._send()

    def check(self) -> None:
        """Raises ``StoppedError`` when the attempt is not wanted any more."""
        if self._stopped.is_set():
            raise StoppedError(f"attempt {self.attempt} of {self.job} is not wanted any more")

    def stop(self) -> None:
        """The attempt is not wanted any more."""
        self._stopped.set()

    def _send(self) -> None:
        self.send(self._counts)
        self._counts = {}
        self._next = time.monotonic() + REPORT_SECONDS


class Bench:
    """All the work of one worker process, which may outlive the runs that it works for.

    A job has the same name in every run, and each counts attempts from 1: so a run's name goes with it.
    """

    def __init__(self, scratch: Scratch) -> None:
        self.scratch = scratch
        self._lock = threading.Lock()
        self._working: set[Work] = set()
        self._unwanted: dict[str, dict[str, int]] = {}
        """By run and job, the last attempt that is not wanted any more."""

    @contextmanager
    def working(
        self, run: str, job: str, attempt: int, send: Callable[[Mapping[str, int]], None]
    ) -> Iterator[Work]:
        """One stage, from its beginning to its end; its last counts are sent, its folder kept or removed.

        Raises ``StoppedError`` when its attempt was given up before it came here.
        """
        work = self._begin(run, job, attempt, send)
        try:
            work.check()
            yield work
            work.flush()
        finally:
            self._end(work)

    def _begin(self, run: str, job: str, attempt: int, send: Callable[[Mapping[str, int]], None]) -> Work:
        work = Work(run, job, attempt, self.scratch.attempt(run, job, attempt), send)
        with self._lock:
            if attempt <= self._unwanted.setdefault(run, {}).get(job, 0):
                work.stop()
            self._working.add(work)
        return work

    def _end(self, work: Work) -> None:
        with self._lock:
            self._working.discard(work)
            unwanted = self._unwanted.get(work.run, {work.job: work.attempt})
            keep = work.keep and work.attempt > unwanted.get(work.job, 0)
        if not keep:
            self.scratch.discard(work.run, work.job, work.attempt)

    def discard(self, run: str, job: str, attempt: int) -> None:
        """Stop the job's attempts up to this one, and remove what they left."""
        with self._lock:
            unwanted = self._unwanted.setdefault(run, {})
            unwanted[job] = max(attempt, unwanted.get(job, 0))
            busy = [
                work
                for work in self._working
                if (work.run, work.job) == (run, job) and work.attempt <= attempt
            ]
            for work in busy:
                work.stop()
        if not busy:  # else the stage removes its folder when it has stopped
            self.scratch.discard(run, job, attempt)

    def runs(self) -> frozenset[str]:
        """The runs that have worked here and are not forgotten."""
        with self._lock:
            return frozenset(self._unwanted)

    def forget(self, run: str) -> None:
        """Stop everything of a run that is over, and remove what it left."""
        with self._lock:
            self._unwanted.pop(run, None)
            for work in self._working:
                if work.run == run:
                    work.stop()
        self.scratch.forget(run)
