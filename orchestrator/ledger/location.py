"""Where a ledger is: a file, or a PostgreSQL database by its URL."""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from orchestrator.durable import make_folder
from orchestrator.ledger.errors import LedgerError

_FORM = "write a file's path, or postgresql://USER@HOST[:PORT]/DATABASE"


def default_location() -> Path:
    """Where the ledger is when nothing is said (XDG Base Directory Specification, ``XDG_STATE_HOME``)."""
    state = os.environ.get("XDG_STATE_HOME", "")
    # The specification wants relative paths to be ignored.
    home = Path(state) if Path(state).is_absolute() else Path.home() / ".local" / "state"
    return home / "orchestrate" / "ledger.sqlite"


def ledger_url(location: str | Path, password: str = "") -> URL:
    """The SQLAlchemy URL of a file or of a PostgreSQL database; a file's folder is made.

    ``password`` wins over one in the URL. Raises ``LedgerError`` when it is neither, or the folder cannot
    be made.
    """
    if "://" not in str(location):
        return _file_url(Path(location))
    try:
        url = make_url(str(location))
    except ArgumentError:
        raise LedgerError("the ledger's URL cannot be read", _FORM) from None
    match url.drivername:
        case "sqlite" if url.database:
            return _file_url(Path(url.database))
        case "postgresql" | "postgres" | "postgresql+psycopg":
            url = url.set(drivername="postgresql+psycopg")
            return url.set(password=password) if password else url
        case _:
            raise LedgerError(f"a ledger cannot be kept in {url.drivername}", _FORM)


def shown(url: URL) -> str:
    """The ledger as people may see it: without its password."""
    if url.drivername == "sqlite":
        return str(url.database)
    return url.set(drivername="postgresql", query={}).render_as_string(hide_password=True)


def _file_url(path: Path) -> URL:
    path = path.absolute()
    try:
        make_folder(path.parent)
    except OSError as error:
        raise LedgerError(
            f"cannot make the ledger's folder {path.parent}: {error}", "see --ledger"
        ) from error
    return URL.create("sqlite", database=str(path))
