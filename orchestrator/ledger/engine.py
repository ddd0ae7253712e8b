"""Opens the database behind a ledger: durable, one writer at a time, at this program's schema version."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from orchestrator.errors import ExitCode, OrchestratorError

_MIGRATIONS = Path(__file__).parent / "migrations"
_BUSY_SECONDS = 30


class LedgerError(OrchestratorError):
    """The ledger cannot be opened or written."""

    kind = "ledger"
    exit_code = ExitCode.USAGE


def default_location() -> Path:
    """Where the ledger is when nothing is said (XDG Base Directory Specification, ``XDG_STATE_HOME``)."""
    state = os.environ.get("XDG_STATE_HOME", "")
    # The specification wants relative paths to be ignored.
    home = Path(state) if Path(state).is_absolute() else Path.home() / ".local" / "state"
    return home / "orchestrate" / "ledger.sqlite"


def open_engine(location: str | Path) -> Engine:
    """An engine for a file path or an SQLAlchemy URL, its schema brought up to date.

    Raises:
        LedgerError: it cannot be opened, or a newer version of the program has written it.
    """
    url = str(location) if "://" in str(location) else _file_url(Path(location))
    shown = make_shown(url)
    try:
        engine = create_engine(url)
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise LedgerError(f"the ledger {shown} cannot be opened: {error}", "see --ledger") from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_immediate)
    try:
        with engine.begin() as connection:
            _upgrade(connection, shown)
    except SQLAlchemyError as error:
        engine.dispose()
        raise LedgerError(f"the ledger {shown} cannot be opened: {error}", "see --ledger") from error
    except LedgerError:
        engine.dispose()
        raise
    return engine


def make_shown(url: str) -> str:
    """The URL as people may see it: without its password."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return "(unreadable URL)"


def _file_url(path: Path) -> str:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LedgerError(
            f"cannot make the ledger's folder {path.parent}: {error}", "see --ledger"
        ) from error
    return f"sqlite:///{path.absolute()}"


def _configure_sqlite(connection: Any, record: object) -> None:
    connection.isolation_level = None  # transactions begin in _begin_immediate, not by the driver's guess
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",  # an intended snapshot must outlive a power cut before vCenter is asked for it
        "foreign_keys = ON",
        f"busy_timeout = {_BUSY_SECONDS * 1000}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_immediate(connection: Connection) -> None:
    # A transaction that reads first and writes later can fail at once, whatever the busy time-out
    # (https://www.sqlite.org/isolation.html): take the write lock at its beginning.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _upgrade(connection: Connection, shown: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    unknown = set(MigrationContext.configure(connection).get_current_heads()) - known
    if unknown:
        raise LedgerError(
            f"the ledger {shown} was written by a newer version (schema {', '.join(sorted(unknown))})",
            "use that version, or another ledger with --ledger",
        )
    command.upgrade(config, "head")
