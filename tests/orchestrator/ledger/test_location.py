"""Where a ledger may be, and that nobody is shown its password."""

from __future__ import annotations

import logging
import traceback
from pathlib import Path

import pytest

from deploy.demo.postgres import Postgres
from orchestrator.ledger import LedgerAwayError, LedgerError, default_location
from orchestrator.ledger.location import ledger_url, shown
from tests.orchestrator.ledger.conftest import Place

SECRET = "a-secret-that-stays-one"


def test_the_default_location_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_location() == tmp_path / "orchestrate" / "ledger.sqlite"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert default_location().is_relative_to(Path.home())


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_a_database_is_named_as_people_name_it(scheme: str) -> None:
    url = ledger_url(f"{scheme}://me:{SECRET}@db:5433/vms?sslmode=verify-full")
    assert (url.drivername, url.password, url.query["sslmode"]) == (
        "postgresql+psycopg",
        SECRET,
        "verify-full",
    )
    assert shown(url) == "postgresql://me:***@db:5433/vms"


def test_a_password_given_apart_wins() -> None:
    assert ledger_url("postgresql://me:other@db/vms", SECRET).password == SECRET


@pytest.mark.parametrize("location", ["mysql://me:pw@db/vms", "sqlite://", "://x", "nosuch://x"])
def test_what_is_neither_a_file_nor_postgresql_is_refused(location: str) -> None:
    with pytest.raises(LedgerError, match="postgresql://USER@HOST"):
        ledger_url(location)


def test_a_file_whose_folder_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LedgerError, match=r"folder .*/file/sub"):
        ledger_url(tmp_path / "file" / "sub" / "ledger.sqlite")


def test_a_database_that_refuses_or_is_not_there_says_so_without_the_password(
    database: Place, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    nobody = "postgresql://orchestrate@127.0.0.1:9/ledger"
    with pytest.raises(LedgerAwayError, match=r"127\.0\.0\.1:9/ledger is away") as away:
        Place(nobody, SECRET).open()
    with pytest.raises(LedgerError, match="password authentication failed") as refused:
        Place(database.location, SECRET).open()
    for caught in (away, refused):
        told = "".join(traceback.format_exception(caught.value))
        assert SECRET not in told + repr(caught.value) + caplog.text


def test_an_open_ledger_does_not_show_its_password(database: Place) -> None:
    with database.open() as ledger:
        assert database.password not in repr(ledger.engine) + repr(vars(ledger)) + repr(ledger.engine.url)


def test_a_user_who_may_make_no_tables_is_told_what_to_grant(database: Place, server: Postgres) -> None:
    server.sql(f"CREATE ROLE reader LOGIN PASSWORD '{SECRET}'")
    try:
        place = Place(database.location.replace("orchestrate@", "reader@"), SECRET)
        with pytest.raises(LedgerError, match="permission denied") as caught:
            place.open()
        assert "GRANT CREATE ON SCHEMA" in caught.value.hint
    finally:
        server.sql("DROP ROLE reader")
