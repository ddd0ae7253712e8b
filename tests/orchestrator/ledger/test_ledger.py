"""What a ledger keeps, on a real SQLite file and on a real PostgreSQL server."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.fleet.states import Failure, Job, JobState, Stage
from orchestrator.ledger import EnlistedVm, ImageRecord, Ledger, LedgerError, RunLedger
from orchestrator.vsphere.values import SnapshotRef
from tests.orchestrator.ledger.conftest import Place


def test_it_keeps_its_identity(place: Place) -> None:
    with place.open() as first:
        identity = first.id
    with place.open() as again:
        assert again.id == identity


def test_a_file_that_is_no_ledger_is_named(tmp_path: Path) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("not a database " * 100)
    with pytest.raises(LedgerError, match=r"notes\.txt"):
        Ledger(other)


def test_writes_are_on_disk_when_they_return(file: Place) -> None:
    with file.open() as ledger, ledger.engine.begin() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


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
    run.image("j1", image("sha256:a", 7200))
    run.image("j1", image("sha256:b", 2))  # somebody set the clock back in between
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


def test_text_that_no_database_takes_is_escaped(ledger: Ledger, run: RunLedger) -> None:
    run.event("note", "a\0b \udcff", job="j1")
    with ledger.engine.begin() as connection:
        (told,) = connection.exec_driver_sql("SELECT message FROM events").scalars()
    assert told == "a\\x00b \\udcff"


def test_the_last_run_is_told(ledger: Ledger, run: RunLedger) -> None:
    run.end("done")
    last = ledger.last_run()
    assert last is not None and (last.run, last.outcome, last.datacenter) == (run.id, "done", "/DC0")
