"""Keeps a run's lease alive, and brings to the ledger what could not be written at once.

The run's own thread must never wait for a database: it has leases to keep and snapshots to remove. So what
only tells of something is tried once; while the database is away it is kept here, in order, and written when
the database is back. What must be in the ledger before it is done waits for that, in a thread of its own.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection

from orchestrator.ledger import runs
from orchestrator.ledger.database import Database
from orchestrator.ledger.errors import LedgerAwayError, LedgerError
from orchestrator.ledger.presence import Timing

log = logging.getLogger(__name__)

T = TypeVar("T")
Write = Callable[[Connection], object]
_JOIN_SECONDS = 20.0
"""No try takes longer than the connection's own time-outs."""


class Scribe:
    """Writes for one run; methods may be called from any thread."""

    def __init__(self, database: Database, run: str, timing: Timing) -> None:
        """Begin to beat; ``stop`` ends it."""
        self._database = database
        self._run = run
        self._timing = timing
        self._backlog: list[Write] = []
        self._changed = threading.Condition()
        self._over = False
        self._lost: LedgerError | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._write_on, name=f"ledger-{run[:8]}", daemon=True)
        self._thread.start()

    @property
    def closed(self) -> bool:
        """Whether another orchestrator has closed the run."""
        return self._closed

    @property
    def lost(self) -> LedgerError | None:
        """Why the ledger has been given up; None while there is hope."""
        return self._lost

    def tell(self, write: Write) -> None:
        """Write now if the database is there, later if not; never waits long.

        Raises ``LedgerError`` when the database is there and refuses, which is a defect.
        """
        with self._changed:
            if self._backlog:
                self._backlog.append(write)
                return
        try:
            self._database.transact(write, patience=0)
        except LedgerAwayError as error:
            log.warning("%s; it is told later", error.message)
            with self._changed:
                self._backlog.append(write)
                self._changed.notify_all()

    def require(self, work: Callable[[Connection], T]) -> T:
        """What ``work`` gives, once all that was told before is in the ledger.

        Raises ``LedgerAwayError`` when the database stays away, or the run is over before it is back.
        """
        with self._changed:
            self._changed.wait_for(self._is_settled, self._timing.patience)
            if self._backlog:
                raise self._lost or LedgerAwayError(
                    f"the ledger {self._database.shown} is away", "see that its database runs"
                )
        return self._database.transact(work)

    def hurry(self) -> None:
        """From now on wait for nothing: the process has to end soon."""
        self._database.hurry()
        with self._changed:
            self._changed.notify_all()

    def stop(self, last: Write) -> bool:
        """Write what is left and then ``last``, and end; False when it could not be written."""
        with self._changed:
            self._over = True
            self._changed.notify_all()
        self._thread.join(_JOIN_SECONDS)
        with self._changed:
            self._backlog.append(last)
        try:
            written = self._database.transact(self._write_backlog, 0 if self._lost else None)
        except LedgerError as error:
            self._lost = error
            log.error("the ledger lacks the end of the run %s: %s", self._run, error)
            return False
        self._forget(written)
        return True

    def _is_settled(self) -> bool:
        return not self._backlog or self._lost is not None or self._over or self._database.hurried

    def _write_on(self) -> None:
        due = time.monotonic() + self._timing.beat
        while self._wait(due):
            due = time.monotonic() + self._timing.beat
            try:
                written = self._database.transact(self._write_and_beat, 0 if self._lost else None)
            except LedgerError as error:
                if self._lost is None:
                    log.error("the run gives the ledger up: %s", error)
                with self._changed:
                    self._lost = error
                    self._changed.notify_all()
            else:
                self._forget(written)

    def _wait(self, due: float) -> bool:
        """Until the next beat, or until there is something to write; False when it is over."""
        with self._changed:
            while not self._over and (left := due - time.monotonic()) > 0:
                if self._backlog and self._lost is None:
                    break
                self._changed.wait(left)
            return not self._over

    def _write_and_beat(self, connection: Connection) -> int:
        written = self._write_backlog(connection)
        self._closed = not runs.beat(connection, self._run, self._database.now(connection))
        return written

    def _write_backlog(self, connection: Connection) -> int:
        with self._changed:
            backlog = tuple(self._backlog)
        for write in backlog:
            write(connection)
        return len(backlog)

    def _forget(self, written: int) -> None:
        with self._changed:
            del self._backlog[:written]
            self._changed.notify_all()
