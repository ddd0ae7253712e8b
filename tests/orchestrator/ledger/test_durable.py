"""What the ledger has acknowledged is there again: after kills at any instant, and on a disk without room."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from orchestrator.fleet.states import Failure
from orchestrator.ledger import Ledger, NotIntendedError
from tests.orchestrator.ledger.conftest import QUICK, VM, Place
from tests.waiting import until

ROOT = Path(__file__).parents[3]
ROUNDS = 24


def test_every_acknowledged_write_outlives_the_process(place: Place) -> None:
    command = [sys.executable, "-m", "tests.orchestrator.ledger.writer", place.location, str(ROUNDS)]
    writers = subprocess.run(command, cwd=ROOT, input=place.password, capture_output=True, text=True)
    assert writers.returncode == 0, writers.stderr
    acknowledged = writers.stdout.splitlines()
    with place.open() as ledger:
        kept = [snapshot.name for snapshot in ledger.open_snapshots()]
        assert ledger.live_runs() == frozenset()
        ledger.begin_run("vc-1", "/DC0")
    assert len({name.split()[0] for name in acknowledged}) > ROUNDS / 8  # enough lived to write
    assert [name for name in acknowledged if name not in kept] == []
    assert len(kept) == len(set(kept))


def test_a_file_of_the_ledger_is_whole_after_kills(file: Place) -> None:
    command = [sys.executable, "-m", "tests.orchestrator.ledger.writer", file.location, "6"]
    subprocess.run(command, cwd=ROOT, input="", check=True, capture_output=True, text=True)
    with file.open() as ledger, ledger.engine.begin() as connection:
        assert connection.execute(text("PRAGMA integrity_check")).scalar_one() == "ok"
        assert connection.execute(text("PRAGMA foreign_key_check")).all() == []


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """Let the disk have no room."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(1 << 12)):
                pass
        except OSError:
            yield
    filler.unlink()


def intended(ledger: Ledger) -> list[str]:
    return [snapshot.name for snapshot in ledger.open_snapshots()]


@pytest.mark.root
def test_on_a_full_disk_no_snapshot_is_intended_and_what_is_told_is_written_later(small_disk: Path) -> None:
    place = Place(str(small_disk / "ledger.sqlite"))
    with place.open(timing=replace(QUICK, beat=0.2, patience=0.5)) as ledger:
        run = ledger.begin_run("vc-1", "/DC0")
        run.enlist([VM])
        run.snapshot_intended("j1", "vm-1", "before")
        with full(small_disk), pytest.raises(NotIntendedError, match=r"disk is full.*make room"):
            while True:  # what is left of the file's last pages takes some
                run.snapshot_intended("j1", "vm-1", "on the full disk")
        assert "before" in intended(ledger)
    with place.open(timing=replace(QUICK, patience=20.0)) as ledger:
        run = ledger.begin_run("vc-1", "/DC0")
        run.enlist([VM])
        with full(small_disk):
            for number in range(100):
                run.failed("j1", Failure("stream", f"cut {number}" + 4096 * "x"))
            assert run.trouble() == ""
        assert run.end("done")
        with ledger.engine.begin() as connection:
            assert connection.execute(text("SELECT count(*) FROM events")).scalar_one() == 100


@pytest.mark.root
def test_a_disk_that_stays_full_is_told_and_costs_nothing_that_was_acknowledged(small_disk: Path) -> None:
    place = Place(str(small_disk / "ledger.sqlite"))
    with place.open(timing=replace(QUICK, beat=0.2, patience=0.5)) as ledger:
        run = ledger.begin_run("vc-1", "/DC0")
        run.enlist([VM])
        run.snapshot_intended("j1", "vm-1", "orchestrate-j1")
        with full(small_disk):
            for _ in range(100):
                run.failed("j1", Failure("stream", 4096 * "x"))
            until(lambda: "disk is full; make room" in run.trouble())
            run.snapshot_removed("j1")
            assert not run.end("interrupted")
        (snapshot,) = ledger.open_snapshots()  # a later sweep looks for it, and finds it gone
        assert snapshot.run == run.id
