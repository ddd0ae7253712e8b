"""The one way to the ledger's database: whole transactions, tried again while it is away."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from sqlalchemy import URL, Connection, Table, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from tenacity import Retrying, retry_if_exception, stop_after_delay, stop_when_event_set
from tenacity.nap import sleep_using_event
from tenacity.wait import wait_random_exponential

from orchestrator.ledger.engine import make_engine
from orchestrator.ledger.errors import LedgerAwayError, LedgerError
from orchestrator.ledger.location import shown

T = TypeVar("T")

_PASSING_SQLITE = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL})
_PASSING_POSTGRESQL = ("08", "40", "53", "55P03", "57")
"""SQLSTATEs, or their classes: connection, rollback by a conflict, resources, lock not available, operator
intervention such as a shutdown (PostgreSQL manual, appendix A)."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A time by a clock that all who use a ledger share."""

    clock: str
    """Which clock: seconds of two moments compare only when it is the same."""
    seconds: float


Clock = Callable[[Connection], Moment]


def boot() -> str:
    """Which start of which machine this is (random(4))."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def shared_clock(connection: Connection) -> Moment:
    """The database's own clock.

    A SQLite file is used by one machine at a time, whose clock since its start nobody can set.
    """
    if connection.dialect.name == "sqlite":
        return Moment(boot(), time.monotonic())
    seconds = connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one()
    return Moment("database", float(seconds))


class Database:
    """Methods may be called from any thread."""

    def __init__(self, url: URL, patience: float, clock: Clock = shared_clock) -> None:
        """``patience``: seconds for which a transaction is tried while the database is away."""
        self.engine = make_engine(url)
        self.shown = shown(url)
        self.patience = patience
        self.now = clock
        self._hurried = threading.Event()

    def hurry(self) -> None:
        """From now on nothing is tried twice: somebody wants the process to end."""
        self._hurried.set()

    @property
    def hurried(self) -> bool:
        """Whether ``hurry`` was called."""
        return self._hurried.is_set()

    def transact(
        self,
        work: Callable[[Connection], T],
        patience: float | None = None,
        waits: Callable[[], None] = lambda: None,
    ) -> T:
        """What ``work`` gives, in one transaction that is on disk when this returns.

        While the database is away, all of it is done again: a commit whose answer was lost may have been
        one, so ``work`` has to come to the same when it is done twice. ``waits`` is called before each wait.

        Raises:
            LedgerAwayError: still away after ``patience`` seconds; 0 means one try.
            LedgerError: the database refuses.
        """
        seconds = self.patience if patience is None else patience
        retrying = Retrying(
            retry=retry_if_exception(is_passing),
            stop=stop_after_delay(seconds) | stop_when_event_set(self._hurried),
            wait=wait_random_exponential(multiplier=0.1, max=3.0),
            sleep=sleep_using_event(self._hurried),
            before_sleep=lambda state: waits(),
            reraise=True,
        )
        try:
            given: T = retrying(self._once, work)
            return given
        except SQLAlchemyError as error:
            raise self._translated(error) from error

    def close(self) -> None:
        """End connections; a second call does nothing."""
        self.engine.dispose()

    def _once(self, work: Callable[[Connection], T]) -> T:
        with self.engine.begin() as connection:
            return work(connection)

    def _translated(self, error: SQLAlchemyError) -> LedgerError:
        said = _words(error)
        if is_passing(error):
            message = f"the ledger {self.shown} is away: {said}"
            return LedgerAwayError(message, "make room on its disk, or see that its database runs")
        hint = "see --ledger"
        if isinstance(error, DBAPIError) and isinstance(error.orig, psycopg.errors.InsufficientPrivilege):
            hint = "its user needs CREATE on the database's schema: GRANT CREATE ON SCHEMA public TO …"
        return LedgerError(f"the ledger {self.shown} cannot be used: {said}", hint)


def is_passing(error: BaseException) -> bool:
    """Whether the database is only away: the same may succeed later."""
    if isinstance(error, PoolTimeoutError):
        return True
    if not isinstance(error, DBAPIError):
        return False
    cause = error.orig
    if isinstance(cause, sqlite3.Error):
        return getattr(cause, "sqlite_errorcode", 0) & 0xFF in _PASSING_SQLITE
    if isinstance(cause, psycopg.Error):
        if cause.sqlstate is None:  # said by the client's library: no connection, or a broken one
            return isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError)
        return cause.sqlstate.startswith(_PASSING_POSTGRESQL)
    return False


def insert_once(connection: Connection, table: Table, values: Mapping[str, Any]) -> None:
    """Insert a row, unless it is there already, by any of the table's unique columns."""
    connection.execute(insert_into(connection, table).values(dict(values)).on_conflict_do_nothing())


def insert_into(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An insert that can say what to do about a row that is there already."""
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


def _words(error: SQLAlchemyError) -> str:
    """What the database said, on one line and without the statement: that holds names and no reason."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return "; ".join(line.strip() for line in str(cause).splitlines() if line.strip())
