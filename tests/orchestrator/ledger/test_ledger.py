"""The ledger on a real SQLite file: what it keeps, across processes and versions."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from orchestrator.fleet.states import Failure, Job, JobState, Stage
from orchestrator.ledger import (
    EnlistedVm,
    ImageRecord,
    Ledger,
    LedgerError,
    LedgerInUseError,
    RunLedger,
    default_location,
)
from orchestrator.ledger.ledger import SILENT_SECONDS
from orchestrator.ledger.schema import metadata
from orchestrator.vsphere.values import SnapshotRef

VM = EnlistedVm("j1", "uuid-1", "vm-1", "web", "prod", "registry:5000/demo/web")


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.sqlite"


@pytest.fixture
def ledger(path: Path, clock: Clock) -> Iterator[Ledger]:
    with Ledger(path, clock) as opened:
        yield opened


@pytest.fixture
def run(ledger: Ledger) -> RunLedger:
    begun = ledger.begin_run("vc-1", "/DC0")
    begun.enlist([VM])
    return begun


def test_it_keeps_its_identity(path: Path) -> None:
    with Ledger(path) as first:
        identity = first.id
    with Ledger(path) as again:
        assert again.id == identity


def test_the_migrations_give_the_schema_that_the_code_uses(ledger: Ledger) -> None:
    with ledger.engine.begin() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_a_newer_schema_is_refused(path: Path) -> None:
    Ledger(path).close()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    with pytest.raises(LedgerError, match=r"newer version \(schema 9999\)"):
        Ledger(path)


def test_a_file_that_is_no_ledger_is_named(tmp_path: Path) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("not a database " * 100)
    with pytest.raises(LedgerError, match=r"notes\.txt"):
        Ledger(other)


def test_a_url_that_cannot_be_used_does_not_show_its_password() -> None:
    with pytest.raises(LedgerError) as caught:
        Ledger("nosuchdatabase://user:secret@host/name")
    assert "secret" not in str(caught.value)


def test_writes_are_on_disk_when_they_return(ledger: Ledger) -> None:
    with ledger.engine.begin() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


def test_the_default_location_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_location() == tmp_path / "orchestrate" / "ledger.sqlite"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert default_location().is_relative_to(Path.home())


def test_a_second_run_on_the_same_datacenter_is_told_who_is_at_work(ledger: Ledger, run: RunLedger) -> None:
    with pytest.raises(LedgerInUseError, match=f"{run.id}.*process {os.getpid()}"):
        ledger.begin_run("vc-1", "/DC0")
    assert ledger.begin_run("vc-1", "/DC1").id != run.id


def test_an_ended_run_frees_the_datacenter(ledger: Ledger, run: RunLedger) -> None:
    run.end("done")
    assert ledger.live_runs() == frozenset()
    ledger.begin_run("vc-1", "/DC0")


def test_a_silent_run_is_taken_for_dead_and_learns_of_it(
    ledger: Ledger, run: RunLedger, clock: Clock
) -> None:
    clock.now += SILENT_SECONDS / 2
    assert run.heartbeat()
    clock.now += SILENT_SECONDS + 1
    assert ledger.live_runs() == frozenset()
    ledger.begin_run("vc-1", "/DC0")
    assert not run.heartbeat()
    assert not run.may_publish("j1", 1)


KILLED = """
import os, sys
from orchestrator.ledger import Ledger
run = Ledger(sys.argv[1]).begin_run("vc-1", "/DC0")
print(run.id, flush=True)
os.kill(os.getpid(), 9)
"""


def test_a_killed_process_frees_the_datacenter_at_once(path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path)], capture_output=True, text=True)
    assert killed.returncode == -9
    with Ledger(path) as ledger:
        assert ledger.live_runs() == frozenset()
        ledger.begin_run("vc-1", "/DC0").end("done")


def test_only_the_current_attempt_of_a_publishing_job_may_publish(run: RunLedger) -> None:
    run.record(Job("j1", JobState.CONVERTING, attempt=2))
    assert not run.may_publish("j1", 2)
    run.record(Job("j1", JobState.PUBLISHING, attempt=2))
    assert run.may_publish("j1", 2)
    assert not run.may_publish("j1", 1)


def test_a_failure_is_kept_and_a_mended_one_is_no_failure(ledger: Ledger, run: RunLedger) -> None:
    failure = Failure("stream", "cut", "try again")
    run.record(Job("j1", JobState.FAILED, attempt=3, failure=failure))
    (job,) = ledger.jobs(run.id)
    assert (job.vm, job.state, job.error_kind, job.error_hint) == (
        "web",
        JobState.FAILED,
        "stream",
        "try again",
    )
    run.record(Job("j1", JobState.DONE, attempt=3, failure=failure))
    (job,) = ledger.jobs(run.id)
    assert (job.state, job.error_kind) == (JobState.DONE, "")


def test_an_intended_snapshot_is_open_until_it_is_known_to_be_gone(ledger: Ledger, run: RunLedger) -> None:
    run.snapshot_intended("j1", "vm-1", "orchestrate-j1")
    run.snapshot_made("j1", SnapshotRef("vm-1", "snapshot-9", "orchestrate-j1", "", 900.0, quiesced=True))
    (opened,) = ledger.open_snapshots()
    assert (opened.run, opened.job, opened.vm) == (run.id, "j1", "vm-1")
    run.snapshot_removed("j1")
    assert ledger.open_snapshots() == ()


def test_a_snapshot_of_a_dead_run_can_be_closed(ledger: Ledger, run: RunLedger) -> None:
    run.snapshot_intended("j1", "vm-1", "orchestrate-j1")
    run.end("died")
    ledger.snapshot_gone(run.id, "j1")
    assert ledger.open_snapshots() == ()


def image(digest: str, published: float) -> ImageRecord:
    return ImageRecord(f"r/web@{digest}", digest, "sha256:c", 5, published, 900.0, "f", "s")


def test_the_last_image_of_a_vm_is_found_in_later_runs(ledger: Ledger, run: RunLedger) -> None:
    assert ledger.last_image("j1") is None
    run.image("j1", image("sha256:a", 1))
    run.image("j1", image("sha256:b", 2))
    run.end("done")
    assert ledger.last_image("j1") == image("sha256:b", 2)


def test_a_vm_is_enlisted_again_under_its_new_name(ledger: Ledger, run: RunLedger) -> None:
    run.end("done")
    second = ledger.begin_run("vc-1", "/DC0")
    second.enlist([EnlistedVm("j1", "uuid-1", "vm-7", "web-renamed", "", "registry:5000/demo/web")])
    second.decided("j1", JobState.SKIPPED, "it is a template", "deploy it")
    (job,) = ledger.jobs(second.id)
    assert (job.vm, job.state, job.reason) == ("web-renamed", JobState.SKIPPED, "it is a template")
    assert ledger.repositories() == {"j1": "registry:5000/demo/web"}


def test_stages_and_events_are_written(ledger: Ledger, run: RunLedger) -> None:
    run.stage("j1", Stage.DOWNLOAD, 1, 10.0, 12.0, True, 4096)
    run.failed("j1", Failure("lease", "the lease ended", "see vCenter"))
    with ledger.engine.begin() as connection:
        rows = connection.exec_driver_sql("SELECT stage, bytes FROM stages").all()
        events = connection.exec_driver_sql("SELECT job, kind, message FROM events").all()
    assert rows == [("download", 4096)]
    assert events == [("j1", "lease", "the lease ended")]


def test_the_last_run_is_told(ledger: Ledger, run: RunLedger) -> None:
    run.end("done")
    last = ledger.last_run()
    assert last is not None and (last.run, last.outcome, last.datacenter) == (run.id, "done", "/DC0")
