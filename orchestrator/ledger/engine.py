"""Opens the database behind a ledger: what has been committed is on disk, and waits are bounded."""

from __future__ import annotations

from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event

BUSY_SECONDS = 5
"""How long one try waits for another writer of a SQLite file."""
_SQLITE = (
    f"busy_timeout = {BUSY_SECONDS * 1000}",
    "journal_mode = WAL",
    # An intended snapshot must outlive a power cut before vCenter is asked for it. With a write-ahead log
    # FULL is enough: EXTRA differs only for rollback journals (https://www.sqlite.org/pragma.html).
    "synchronous = FULL",
    "foreign_keys = ON",
)
_POSTGRESQL = {
    "application_name": "orchestrate",
    "connect_timeout": 10,
    # A server that vanished without a word is noticed: keepalives on an idle connection, and
    # TCP_USER_TIMEOUT on one that waits for an acknowledgement (libpq's connection parameters).
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
    # A process that was frozen in a transaction must not hold its locks against the other orchestrators.
    "options": "-c synchronous_commit=on -c statement_timeout=30s -c lock_timeout=10s "
    "-c idle_in_transaction_session_timeout=60s",
    # Prepared statements outlive transactions, which poolers such as PgBouncer do not allow for.
    "prepare_threshold": None,
}


def make_engine(url: URL) -> Engine:
    """An engine for a URL of ``location.ledger_url``; nothing is opened yet."""
    if url.drivername == "sqlite":
        engine = create_engine(url)
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_immediate)
        return engine
    # What the URL's query says, such as sslmode, is said after and over this.
    parameters = {name: value for name, value in _POSTGRESQL.items() if name not in url.query}
    return create_engine(url, connect_args=parameters, pool_size=8, max_overflow=32, pool_timeout=30)


def _configure_sqlite(connection: Any, record: object) -> None:
    connection.isolation_level = None  # transactions begin in _begin_immediate, not by the driver's guess
    for pragma in _SQLITE:
        connection.execute(f"PRAGMA {pragma}")


def _begin_immediate(connection: Connection) -> None:
    # A transaction that reads first and writes later can fail at once, whatever the busy time-out
    # (https://www.sqlite.org/isolation.html): take the write lock at its beginning.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
