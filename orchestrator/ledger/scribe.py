"""Keeps a run's lease alive, and writes what the run tells, in order, in a thread of its own.

The run's own thread must never wait for a database: it has leases to keep and snapshots to remove. So what
only tells of something is waited for while the database answers, and kept here while it does not. What has to
be in the ledger before it is done waits for that, in whatever thread does it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

from sqlalchemy import Connection

from orchestrator.ledger import runs
from orchestrator.ledger.database import Database
from orchestrator.ledger.errors import LedgerAwayError, LedgerError
from orchestrator.ledger.presence import Timing

log = logging.getLogger(__name__)

T = TypeVar("T")
Write = Callable[[Connection], object]
_AT_ONCE = 500
"""Writes in one transaction: after a long absence there may be many."""


@dataclass(frozen=True, slots=True)
class _Told:
    write: Write
    number: int
    since: float = field(default_factory=time.monotonic)


class Scribe:
    """Writes for one run; methods may be called from any thread."""

    def __init__(self, database: Database, run: str, timing: Timing) -> None:
        """Begin to beat; ``stop`` ends it."""
        self._database = database
        self._run = run
        self._timing = timing
        self._changed = threading.Condition()
        self._told: deque[_Told] = deque()
        self._numbers = 0
        self._away = False
        self._over = False
        self._ended = False
        self._lost: LedgerError | None = None
        self._closed = False
        self._tell_lost: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._run_on, name=f"ledger-{run[:8]}", daemon=True)
        self._thread.start()

    def when_lost(self, tell: Callable[[], None]) -> None:
        """Call ``tell`` once the ledger is given up, or the run closed by another."""
        with self._changed:
            self._tell_lost = tell
            if self._lost is not None or self._closed:
                tell()

    @property
    def closed(self) -> bool:
        """Whether another orchestrator has closed the run."""
        return self._closed

    @property
    def lost(self) -> LedgerError | None:
        """Why the ledger has been given up; None while there is hope."""
        with self._changed:
            first = self._told[0].since if self._told else time.monotonic()
            silent = time.monotonic() - first
            if self._lost is None and silent > self._timing.patience + self._timing.answer:
                return self._unanswered(silent)
            return self._lost

    def tell(self, write: Write) -> None:
        """On disk when this returns, unless the database is away: then as soon as it is back."""
        with self._changed:
            number = self._put(write)
            if not self._away:
                self._changed.wait_for(lambda: self._away or self._is_written(number), self._timing.answer)
                self._away = self._away or not self._is_written(number)

    def require(self, work: Callable[[Connection], T]) -> T:
        """What ``work`` gives, once all that was told before is in the ledger.

        Raises ``LedgerAwayError`` when the database stays away, or the run is over before it is back.
        """
        with self._changed:
            number = self._numbers
            self._changed.wait_for(
                lambda: self._is_written(number) or self._hopeless(), self._timing.patience
            )
            if not self._is_written(number):
                raise self._lost or self._unanswered(self._timing.patience)
        return self._database.transact(work)

    def hurry(self) -> None:
        """From now on wait for nothing: the process has to end soon."""
        self._database.hurry()
        with self._changed:
            self._changed.notify_all()

    def stop(self, last: Write) -> bool:
        """Write what is left and then ``last``, and end; False when that is not to be had."""
        with self._changed:
            number = self._put(last)
            self._over = True
            self._changed.notify_all()
            patience = (
                self._timing.answer if self._hopeless() else self._timing.patience + self._timing.answer
            )
            written = self._changed.wait_for(
                lambda: self._is_written(number) or self._ended, patience
            ) and self._is_written(number)
            if not written:
                self._lost = self._lost or self._unanswered(patience)
                log.error("the ledger lacks the end of the run %s: %s", self._run, self._lost)
        self._thread.join(self._timing.answer)
        return written

    def _put(self, write: Write) -> int:
        self._numbers += 1
        self._told.append(_Told(write, self._numbers))
        self._changed.notify_all()
        return self._numbers

    def _is_written(self, number: int) -> bool:
        return not self._told or self._told[0].number > number

    def _hopeless(self) -> bool:
        return self._lost is not None or (self._away and self._database.hurried)

    def _unanswered(self, seconds: float) -> LedgerAwayError:
        message = f"the ledger {self._database.shown} has not answered for {seconds:.0f} seconds"
        return LedgerAwayError(message, "see that its database runs")

    def _run_on(self) -> None:
        try:
            self._write_on()
        finally:
            with self._changed:
                if not self._over and self._lost is None:
                    self._lost = LedgerError(
                        "what writes the ledger has failed", "please report it with the log"
                    )
                    self._tell_lost()
                self._ended = self._away = True
                self._changed.notify_all()

    def _write_on(self) -> None:
        due = time.monotonic() + self._timing.beat
        while self._wait(due):
            try:
                patience = 0 if self._lost else None
                written = self._database.transact(self._write_and_beat, patience, self._is_away)
            except LedgerError as error:
                self._give_up(error)
                if self._over:
                    break
                due = time.monotonic() + self._timing.beat
            else:
                due = time.monotonic() + self._timing.beat
                with self._changed:
                    for _ in range(written):
                        self._told.popleft()
                    self._away = False
                    self._changed.notify_all()

    def _wait(self, due: float) -> bool:
        """Until the next beat, or until there is something to write; False when all is over."""
        with self._changed:
            while (left := due - time.monotonic()) > 0 and not self._over:
                if self._told and self._lost is None:
                    return True
                self._changed.wait(left)
            return bool(self._told) or not self._over

    def _write_and_beat(self, connection: Connection) -> int:
        with self._changed:
            told = tuple(islice(self._told, _AT_ONCE))
        for one in told:
            one.write(connection)
        alive = runs.beat(connection, self._run, self._database.now(connection))
        if not (alive or self._over or self._closed):
            self._closed = True
            self._tell_lost()
        return len(told)

    def _is_away(self) -> None:
        with self._changed:
            self._away = True
            self._changed.notify_all()

    def _give_up(self, error: LedgerError) -> None:
        with self._changed:
            if self._lost is None:
                log.error("the run gives the ledger up: %s", error)
                self._lost = error
                self._tell_lost()
            self._lost = error
            self._away = True
            self._changed.notify_all()
