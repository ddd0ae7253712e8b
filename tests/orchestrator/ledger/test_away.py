"""The database goes away in the middle of a run, comes back or does not: nothing waits that must not, nothing
is lost that was told, nothing is written twice."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import pytest
from sqlalchemy import text

from deploy.demo.postgres import Postgres
from orchestrator.fleet.states import Failure, Job, JobState
from orchestrator.ledger import ImageRecord, Ledger, LedgerError, NotIntendedError, RunLedger
from orchestrator.vsphere.values import SnapshotRef
from tests.orchestrator.ledger.conftest import QUICK, VM, Place
from tests.orchestrator.ledger.cutting import Proxy, proxied
from tests.waiting import until

PATIENT = replace(QUICK, beat=0.2, patience=20.0)
HASTY = replace(QUICK, beat=0.2, patience=0.5, answer=0.5)
SOON = 2.0
"""Seconds; a run's loop may not be held up for longer."""
SNAPSHOT = SnapshotRef("vm-1", "snapshot-9", "orchestrate-j1", "", 900.0, quiesced=True)
IMAGE = ImageRecord("r/web@sha256:a", "sha256:a", "sha256:c", 5, 950.0, 900.0, "f", "s")


@contextmanager
def at_work(place: Place, timing: object = PATIENT) -> Iterator[tuple[Ledger, RunLedger]]:
    with place.open(timing=timing) as ledger:
        run = ledger.begin_run("vc-1", "/DC0")
        run.enlist([VM])
        yield ledger, run


@pytest.fixture
def proxy(server: Postgres) -> Iterator[Proxy]:
    with proxied(server.address) as between:
        yield between


@pytest.fixture
def behind(proxy: Proxy, server: Postgres, database: Place) -> Place:
    """A database behind the proxy."""
    return Place(server.url(database.location.rpartition("/")[2], proxy.address), server.password)


@contextmanager
def stopped(server: Postgres) -> Iterator[None]:
    server.stop()
    try:
        yield
    finally:
        server.start()


def seconds(act: Callable[[], object]) -> float:
    began = time.monotonic()
    act()
    return time.monotonic() - began


def rows(ledger: Ledger, table: str) -> int:
    with ledger.engine.begin() as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


def test_what_is_told_meanwhile_is_written_when_the_database_is_back(
    database: Place, server: Postgres
) -> None:
    with at_work(database) as (ledger, run):
        run.snapshot_intended("j1", "vm-1", "orchestrate-j1")
        with stopped(server):
            assert seconds(lambda: run.snapshot_made("j1", SNAPSHOT)) < SOON
            for attempt in range(1, 20):
                run.record(Job("j1", JobState.CONVERTING, attempt=attempt))
                run.failed("j1", Failure("stream", f"cut {attempt}"))
            run.record(Job("j1", JobState.DONE, attempt=20))
            run.image("j1", IMAGE)
            assert seconds(lambda: run.snapshot_removed("j1")) < SOON
            assert run.trouble() == ""
        assert run.end("done")
        (job,) = ledger.jobs(run.id)
        assert (job.state, job.attempt, job.reference) == (JobState.DONE, 20, IMAGE.reference)
        assert ledger.open_snapshots() == ()
        with ledger.engine.begin() as connection:
            told = connection.execute(text("SELECT message FROM events ORDER BY id")).scalars().all()
        assert told == [f"cut {attempt}" for attempt in range(1, 20)]


def test_what_must_be_known_first_waits_for_the_database(database: Place, server: Postgres) -> None:
    with at_work(database) as (ledger, run), ThreadPoolExecutor() as pool:
        with stopped(server):
            run.record(Job("j1", JobState.PUBLISHING, attempt=1))
            intended = pool.submit(run.snapshot_intended, "j1", "vm-1", "orchestrate-j1")
            publishing = pool.submit(run.may_publish, "j1", 1)
            time.sleep(0.5)
            assert not intended.done() and not publishing.done()
        assert intended.result(10) is None
        assert publishing.result(10) is True
        assert len(ledger.open_snapshots()) == 1


def test_heartbeats_resume(database: Place, server: Postgres) -> None:
    with at_work(database) as (ledger, run):
        before = ledger.last_run()
        with stopped(server):
            time.sleep(0.5)

        def beaten() -> bool:
            now = ledger.last_run()
            assert before is not None and now is not None
            return now.heartbeat > before.heartbeat + 0.5

        until(beaten)
        assert run.trouble() == ""


def test_a_server_that_loses_power_under_load_has_all_that_it_acknowledged(
    database: Place, server: Postgres
) -> None:
    over = threading.Event()
    told: list[str] = []

    def load(run: RunLedger) -> None:
        while not over.wait(0.003):
            run.event("note", f"event {len(told)}")
            told.append(f"event {len(told)}")

    with at_work(database) as (ledger, run):
        teller = threading.Thread(target=load, args=(run,))
        teller.start()
        for _ in range(3):
            time.sleep(0.3)
            server.kill()
            server.start()
        over.set()
        teller.join()
        assert run.end("done")
        with ledger.engine.begin() as connection:
            found = Counter(connection.execute(text("SELECT message FROM events")).scalars())
    assert len(told) > 10
    assert found == Counter(told)


def test_a_commit_whose_answer_is_lost_is_not_done_twice(behind: Place, proxy: Proxy) -> None:
    with behind.open(timing=PATIENT) as ledger:
        proxy.answers_to_lose = 1
        run = ledger.begin_run("vc-1", "/DC0")  # and does not find itself at work there
        proxy.answers_to_lose = 1
        run.enlist([VM])
        proxy.answers_to_lose = 1
        run.snapshot_intended("j1", "vm-1", "orchestrate-j1")
        proxy.answers_to_lose = 1
        run.event("note", "once")
        proxy.answers_to_lose = 1
        run.image("j1", IMAGE)
        assert run.end("done")
        assert proxy.lost == 5
        assert {
            table: rows(ledger, table) for table in ("runs", "jobs", "snapshots", "events", "images")
        } == {
            "runs": 1,
            "jobs": 1,
            "snapshots": 1,
            "events": 1,
            "images": 1,
        }


def test_connections_that_are_cut_cost_nothing(behind: Place, proxy: Proxy) -> None:
    with at_work(behind) as (ledger, run):
        for number in range(5):
            proxy.cut()
            run.event("note", f"event {number}")
            run.snapshot_intended("j1", "vm-1", f"orchestrate-{number}")
        proxy.refusing = True
        proxy.cut()
        assert seconds(lambda: run.event("note", "refused")) < SOON
        proxy.refusing = False
        assert run.end("done")
        assert (rows(ledger, "events"), rows(ledger, "snapshots")) == (6, 5)


def test_a_database_that_hangs_holds_nobody_up_for_long(behind: Place, proxy: Proxy) -> None:
    with at_work(behind, HASTY) as (_, run):
        proxy.deaf = True
        assert seconds(lambda: run.event("note", "is waited for, for a little")) < SOON
        assert seconds(lambda: run.event("note", "is not waited for")) < 0.5
        until(lambda: "has not answered for" in run.trouble())
        with pytest.raises(NotIntendedError):
            run.snapshot_intended("j1", "vm-1", "orchestrate-j1")
        assert not run.end("interrupted")
        proxy.deaf = False
        proxy.cut()


def test_a_database_that_stays_away_ends_the_run_without_a_snapshot_or_an_image(
    database: Place, server: Postgres
) -> None:
    with database.open(timing=HASTY) as ledger:
        run = ledger.begin_run("vc-1", "/DC0")
        run.enlist([VM])
        run.record(Job("j1", JobState.PUBLISHING, attempt=1))
        with stopped(server):
            with pytest.raises(NotIntendedError, match="no snapshot was asked for"):
                run.snapshot_intended("j1", "vm-1", "orchestrate-j1")
            with pytest.raises(LedgerError):
                run.may_publish("j1", 1)
            until(lambda: "see that its database runs" in run.trouble())
            run.snapshot_removed("j1")
            assert not run.end("interrupted")
        assert ledger.open_snapshots() == ()
        ended = ledger.last_run()
        assert ended is not None and ended.ended is None  # so the next one finds what is left


def test_a_run_that_has_to_end_soon_waits_for_no_database(database: Place, server: Postgres) -> None:
    with (
        at_work(database, replace(PATIENT, patience=60.0)) as (_, run),
        ThreadPoolExecutor() as pool,
        stopped(server),
    ):
        run.event("note", "away")
        intended = pool.submit(run.snapshot_intended, "j1", "vm-1", "orchestrate-j1")
        run.hurry()
        assert isinstance(intended.exception(SOON), NotIntendedError)
        assert seconds(lambda: run.end("interrupted")) < 2 * PATIENT.answer
