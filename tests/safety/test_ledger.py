"""The ledger's disk is full, its database goes away, clocks are set, a second orchestrator comes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text

from converters import process
from deploy.demo.postgres import Postgres
from orchestrator.errors import ExitCode
from orchestrator.ledger import Ledger
from tests.safety.harness import Site, digests, errors, in_download, in_push

HOURS = 3600.0
ONE = ("--workers", "1", "--worker-silence", "6")
"""The second lets the run look at its ledger every two seconds."""


@dataclass(frozen=True)
class Stored:
    """A ledger in PostgreSQL, and the flags that name it."""

    location: str
    password: str
    flags: tuple[str, ...]

    def open(self) -> Ledger:
        return Ledger(self.location, self.password)


@pytest.fixture
def stored(server: Postgres, tmp_path: Path) -> Stored:
    password = tmp_path / "ledger-password"
    password.write_text(server.password)
    location = server.database(f"safety-{uuid4().hex[:8]}")
    flags = ("--ledger", location, "--ledger-password-file", str(password))
    return Stored(location, server.password, flags)


@pytest.fixture
def ledger_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB for the ledger alone; needs root."""
    folder = tmp_path / "ledger"
    folder.mkdir()
    process.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)])
    try:
        yield folder
    finally:
        process.run(["umount", str(folder)])


def fill(disk: Path) -> Path:
    """Leave no room; gives the file that takes it."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        while True:
            file.write(bytes(1 << 12))
    return filler


def sweep_in_vain(site: Site, *flags: str) -> None:
    """A sweep while a run is at work."""
    with site.started("sweep", *flags) as sweep:
        assert sweep.wait() == ExitCode.OK, sweep.said
        assert "its run is at work" in sweep.said
        assert "0 snapshots removed" in sweep.said


@pytest.mark.root
def test_a_ledger_whose_disk_is_full_costs_no_snapshot_and_is_told(
    site: Site, undisturbed: Mapping[str, str], ledger_disk: Path
) -> None:
    flags = (*ONE, "--ledger", str(ledger_disk / "ledger.sqlite"), "--ledger-patience", "1")
    with site.converting(*flags) as command:
        in_download(site)
        filler = fill(ledger_disk)
        assert command.wait() == ExitCode.CANNOT_CONNECT, command.said
        assert "not all of this is in the ledger" in command.said
        assert "database or disk is full" in command.said
        assert "make room on its disk" in command.said
    assert site.ours() == []
    site.undisturb()
    filler.unlink()
    jobs = site.convert(*flags)
    assert digests(jobs) == site.tagged() == undisturbed
    with Ledger(ledger_disk / "ledger.sqlite") as ledger:
        assert ledger.open_snapshots() == ()


def test_a_database_that_is_away_in_the_middle_of_a_run_costs_nothing(
    site: Site, undisturbed: Mapping[str, str], stored: Stored, server: Postgres
) -> None:
    with site.converting(*ONE, *stored.flags) as command:
        in_push(site)
        server.kill()
        site.undisturb()
        time.sleep(3)
        server.start()
        assert command.wait() == ExitCode.OK, command.said
    jobs = site.report()
    assert [errors(job) for job in jobs.values()] == [[], [], []]
    assert digests(jobs) == site.tagged() == undisturbed
    with stored.open() as ledger, ledger.engine.begin() as connection:
        published = connection.execute(text("SELECT digest FROM images")).scalars().all()
        assert sorted(published) == sorted(undisturbed.values())  # each once
        assert ledger.open_snapshots() == ()
        last = ledger.last_run()
        assert last is not None and last.outcome == "done"


def test_a_second_orchestrator_is_told_who_is_at_work(site: Site, stored: Stored) -> None:
    with site.converting(*ONE, *stored.flags) as command:
        in_download(site)
        with site.converting(*ONE, *stored.flags) as second:
            assert second.wait() == ExitCode.USAGE, second.said
            assert f"(process {command.process.pid}) is at work on /DC0" in second.said
        sweep_in_vain(site, *stored.flags)
        site.undisturb()
        assert command.wait() == ExitCode.OK


@dataclass(frozen=True, slots=True)
class Jumping(Site):
    """A site whose commands have a wall clock that the test sets."""

    @property
    def environment(self) -> dict[str, str]:
        folder = str(Path(__file__).parent / "jumping")
        clock = {"PYTHONPATH": folder, "JUMPING_CLOCK": str(self.clock)}
        return {**Site.environment.fget(self), **clock}  # type: ignore[attr-defined]

    @property
    def clock(self) -> Path:
        """Holds the seconds by which it is wrong."""
        return self.folder / "wrong-by"


@contextmanager
def jumping(site: Site) -> Iterator[Jumping]:
    changed = Jumping(**{field.name: getattr(site, field.name) for field in fields(site)})
    changed.clock.write_text("0")
    yield changed


@pytest.mark.parametrize("jump", [2 * HOURS, -2 * HOURS], ids=["forward", "back"])
def test_a_clock_that_is_set_in_the_middle_of_a_run_changes_nothing(
    site: Site, undisturbed: Mapping[str, str], jump: float
) -> None:
    with jumping(site) as moved, moved.converting(*ONE) as command:
        in_download(moved)
        moved.clock.write_text(str(jump))
        sweep_in_vain(site)  # by the right clock
        sweep_in_vain(moved)  # by the wrong one
        with site.converting(*ONE) as second:
            assert second.wait() == ExitCode.USAGE, second.said
        time.sleep(4)  # looks at workers, heartbeats, a lease's time-out
        moved.undisturb()
        assert command.wait() == ExitCode.OK, command.said
    jobs = site.report()
    assert [errors(job) for job in jobs.values()] == [[], [], []]
    assert digests(jobs) == site.tagged() == undisturbed
    for job in jobs.values():
        for stage in job["stages"]:
            assert 0 <= stage["ended"] - stage["started"] < 120
