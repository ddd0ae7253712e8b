"""Brings a ledger's schema up to date, by one orchestrator at a time, and tells which ledger it is."""

from __future__ import annotations

import uuid
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, select, text

from orchestrator import clock
from orchestrator.ledger import schema
from orchestrator.ledger.errors import LedgerError

_MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 0x6F726368  # any number that all versions of this program agree on


def upgrade(connection: Connection, shown: str, revision: str = "head") -> None:
    """Bring the schema to ``revision``, all within the caller's transaction.

    Raises ``LedgerError`` when a newer version of the program has written the ledger.
    """
    if connection.dialect.name == "postgresql":  # SQLite has one writer anyway
        for limit in (
            "lock_timeout",
            "statement_timeout",
        ):  # another may be at it, and there may be much to do
            connection.execute(text(f"SET LOCAL {limit} = '10min'"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    unknown = set(MigrationContext.configure(connection).get_current_heads()) - {*revisions()}
    if unknown:
        raise LedgerError(
            f"the ledger {shown} was written by a newer version (schema {', '.join(sorted(unknown))})",
            "use that version, or another ledger with --ledger",
        )
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def revisions() -> tuple[str, ...]:
    """The schema's versions that this program knows, oldest first."""
    scripts = ScriptDirectory.from_config(_config()).walk_revisions()
    return tuple(reversed([script.revision for script in scripts]))


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    return config


def identity(connection: Connection) -> str:
    """Which ledger it is: made with the first opening, under the lock that ``upgrade`` took."""
    found = connection.execute(select(schema.ledger.c.id)).scalar()
    if found is not None:
        return str(found)
    made = str(uuid.uuid4())
    connection.execute(schema.ledger.insert().values(id=made, created=clock.now()))
    return made
