from __future__ import annotations

import io
from dataclasses import replace

from rich.cells import cell_len
from rich.console import Console

from orchestrator.fleet.states import JobState
from orchestrator.report import planned
from tests.orchestrator.report.views import job, run_view

GIB = 1 << 30
LONG = "its guest is Windows (Microsoft Windows Server 2019 (64-bit)) → only Linux guests become images"
JOBS = (
    job("web", JobState.QUEUED, folder="prod/a%2fb", capacity_bytes=20 * GIB, used_bytes=5 * GIB),
    job("数据库", JobState.QUEUED, capacity_bytes=GIB),
    job("win", JobState.SKIPPED, reason=LONG.partition(" → ")[0], remedy=LONG.partition(" → ")[2]),
)
VIEW = replace(run_view(), jobs=JOBS)


def test_a_line_a_vm_in_columns() -> None:
    header, web, database, win = planned.lines(VIEW)
    assert header.split()[:5] == ["VM", "folder", "verdict", "disks", "used"]
    assert web.split() == ["web", "prod/a%2fb", "convert", "20.0", "GiB", "5.00", "GiB"]
    assert database.split() == ["数据库", "convert", "1.00", "GiB", "0", "B"]
    assert win.split()[:2] == ["win", "skipped"]
    assert win.endswith(LONG)
    # Wide characters take two columns each, so equal places are not equal indices.
    verdicts = {cell_len(line[: line.index("convert")]) for line in (web, database)}
    assert verdicts == {cell_len(header[: header.index("verdict")])}
    assert len({cell_len(line) for line in (web, database)}) == 1


def test_nothing_planned_is_a_header() -> None:
    assert list(planned.lines(replace(VIEW, jobs=()))) == [
        "VM  folder  verdict  disks  used  remarks, or why not, and what to do"
    ]


def test_the_table_says_the_same() -> None:
    screen = Console(file=io.StringIO(), width=200)
    screen.print(planned.table(VIEW))
    assert isinstance(screen.file, io.StringIO)
    shown = screen.file.getvalue()
    for word in ("web", "prod/a%2fb", "数据库", "20.0 GiB", "skipped", LONG):
        assert word in shown
