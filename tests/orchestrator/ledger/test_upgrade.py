"""The schema: what migrations give, from every version, by one orchestrator at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

from orchestrator.fleet.states import JobState
from orchestrator.ledger import Ledger, LedgerError
from orchestrator.ledger.database import Database
from orchestrator.ledger.location import ledger_url
from orchestrator.ledger.schema import metadata
from orchestrator.ledger.upgrade import revisions, upgrade
from tests.orchestrator.ledger.conftest import Place

AT_ONCE = 6


def fill_0001(connection: Connection) -> None:
    """Two runs, the later one cut off with a snapshot open, as version 0001 wrote them."""
    for statement in (
        "INSERT INTO ledger VALUES ('led-1', 1)",
        "INSERT INTO runs VALUES ('run-b', 'vc-1', '/DC0', 20, 29, 'host', 7, NULL, NULL)",
        "INSERT INTO runs VALUES ('run-a', 'vc-1', '/DC0', 10, 19, 'host', 6, 19, 'done')",
        "INSERT INTO vms VALUES ('j1', 'vc-1', 'uuid-1', 'vm-1', 'web', 'prod', '/DC0', 'r/web')",
        "INSERT INTO jobs VALUES ('run-a', 'j1', 'done', 1, 10, 11, 12, NULL, NULL, NULL, NULL, NULL)",
        "INSERT INTO jobs VALUES ('run-b', 'j1', 'failed', 3, 10, 11, 12, 'lease', 'cut', '', NULL, NULL)",
        "INSERT INTO stages VALUES (1, 'run-a', 'j1', 'download', 1, 10, 11, TRUE, 4096)",
        "INSERT INTO snapshots VALUES (1, 'run-b', 'j1', 'vm-1', 'made', 21, 's-1', 22, TRUE, '', NULL)",
        "INSERT INTO images VALUES (1, 'run-a', 'j1', 'r/web', 'sha256:a', 'sha256:c', 5, 12, 11, 'f', 's')",
        "INSERT INTO events VALUES (1, 'run-b', 'j1', 21, 'lease', 'cut', 'again')",
    ):
        connection.execute(text(statement))


DATA: dict[str, Callable[[Connection], None]] = {"0001": fill_0001}
"""What fills a ledger of each version but the newest, with the same content."""


def test_the_migrations_give_the_schema_that_the_code_uses(ledger: Ledger) -> None:
    with ledger.engine.begin() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


@pytest.mark.parametrize("revision", revisions()[:-1])
def test_a_ledger_of_every_earlier_version_keeps_what_it_holds(place: Place, revision: str) -> None:
    database = Database(ledger_url(place.location, place.password), patience=0)
    with database.engine.begin() as connection:
        upgrade(connection, "the ledger", revision)
        DATA[revision](connection)
    database.close()
    with place.open() as ledger:
        assert ledger.id == "led-1"
        last = ledger.last_run()
        assert last is not None and (last.run, last.number, last.outcome) == ("run-b", 2, "")
        (job,) = ledger.jobs("run-b")
        assert (job.vm, job.state, job.attempt, job.error_message) == ("web", JobState.FAILED, 3, "cut")
        image = ledger.last_image("j1")
        assert image is not None and image.digest == "sha256:a"
        (opened,) = ledger.open_snapshots()
        assert (opened.run, opened.job, opened.vcenter) == ("run-b", "j1", "vc-1")
        assert ledger.begin_run("vc-1", "/DC0").id != "run-b"  # which was watched, and made no sign
        last = ledger.last_run()
        assert last is not None and last.number == 3


def test_a_newer_schema_is_refused(place: Place) -> None:
    with place.open() as ledger, ledger.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(LedgerError, match=r"newer version \(schema 9999\)"):
        place.open()


def test_orchestrators_that_open_a_new_ledger_at_once_agree(place: Place) -> None:
    start = threading.Barrier(AT_ONCE)

    def open_it(_: int) -> str:
        start.wait()
        with place.open() as ledger:
            return ledger.id

    with ThreadPoolExecutor(AT_ONCE) as pool:
        assert len(set(pool.map(open_it, range(AT_ONCE)))) == 1
