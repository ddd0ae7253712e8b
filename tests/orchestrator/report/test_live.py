"""What a person sees while a run goes on."""

from __future__ import annotations

import dataclasses
import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from orchestrator.board import Board
from orchestrator.fleet.states import JobState
from orchestrator.fleet.view import RunPhase
from orchestrator.report import text
from orchestrator.report.live import WIDE, Results, render, watch
from tests.orchestrator.report.views import DIGEST, job, run_view


def shown(renderable: object, width: int = 200) -> str:
    """What a console of this width prints."""
    console = Console(file=io.StringIO(), width=width)
    console.print(renderable, crop=False)
    output = console.file
    assert isinstance(output, io.StringIO)
    return output.getvalue()


def test_the_table_has_bytes_and_rates_of_what_runs() -> None:
    picture = shown(render(run_view(), 200))
    assert "2 done · 1 at work · 1 waiting · 1 failed · 1 skipped" in picture
    row = next(line for line in picture.splitlines() if line.startswith("mail"))
    assert "exporting" in row
    assert "1.00 KiB (25%)" in row
    assert "512 B/s" in row
    assert "50.0 s" in row


def test_an_interrupted_run_says_what_the_next_ctrl_c_does() -> None:
    draining = dataclasses.replace(run_view(), phase=RunPhase.DRAINING)
    assert "Ctrl-C again" in shown(render(draining, 80), 80)


def test_many_vms_stay_readable() -> None:
    mail = next(job for job in run_view().jobs if job.vm == "mail")
    many = tuple(dataclasses.replace(mail, job=f"j{n}", vm=f"vm-{n}") for n in range(500))
    picture = shown(render(dataclasses.replace(run_view(), jobs=many), 200))
    assert "and 484 more" in picture
    assert len(picture.splitlines()) < 25


def test_the_results_give_an_image_or_a_reason() -> None:
    table = shown(Results(run_view()))
    assert f"registry:5000/vms/web@{DIGEST}" in table
    assert "no Linux on <disk 0> → look at the disk" in table
    assert "runs Windows → convert it by other means" in table


@pytest.mark.parametrize("width", [80, 200])
def test_the_results_begin_with_trouble_and_go_by_name(width: int) -> None:
    jobs = (
        job("zebra", JobState.DONE),
        job("Alpha", JobState.DONE),
        job("win", JobState.SKIPPED),
        job("late", JobState.CANCELLED),
        job("stuck", JobState.DONE, snapshot_left=True),
        job("odd", JobState.FAILED),
        job("beta", JobState.DONE),
    )
    for order in (jobs, jobs[::-1]):
        picture = shown(Results(dataclasses.replace(run_view(), jobs=order)), width)
        words = [line.replace("│", " ").split() for line in picture.splitlines()]
        names = [line[0] for line in words if len(line) > 1 and line[1] in {*JobState}]
        assert names == ["odd", "stuck", "late", "Alpha", "beta", "zebra", "win"]


@pytest.mark.parametrize("width", [80, WIDE])
def test_columns_stay_where_they_are(width: int) -> None:
    """Whatever the figures are, so that a table which redraws itself can be read."""
    mail = next(job for job in run_view().jobs if job.vm == "mail")
    large = dataclasses.replace(
        mail,
        vm="データベース" * 9,
        attempt=12,
        state=JobState.SNAPSHOTTING,
        wire_bytes=1023 << 40,
        received_bytes=1023 << 40,
        read_bytes=1023 << 30,
        pushed_bytes=1023 << 20,
        rate=1023 << 20,
        started=1200.0 - 99 * 3600,
    )
    pictures = [
        shown(render(dataclasses.replace(run_view(), jobs=(job,)), width), width) for job in (mail, large)
    ]
    headings, rows = zip(*(picture.splitlines()[-2:] for picture in pictures), strict=True)
    assert headings[0] == headings[1]
    assert [cell_len(row.rstrip()) for row in rows] == [cell_len(headings[0].rstrip())] * 2
    assert "1023 TiB (100%)" in rows[1]
    assert "99 h 00 min" in rows[1]
    assert ("1023 MiB/s" in rows[1]) == (width >= WIDE)


def test_a_reference_can_be_copied_from_a_narrow_terminal() -> None:
    lines = shown(Results(run_view()), 80).splitlines()
    assert f"    registry:5000/vms/web@{DIGEST}" in lines
    (web,) = (line for line in lines if line.startswith("web"))
    assert web.split() == ["web", "done", "300", "MiB", "1", "min", "30", "s"]


def test_markup_in_a_name_is_shown_as_it_is() -> None:
    view = dataclasses.replace(run_view(), jobs=(job("[red]x[/red]", JobState.SKIPPED, reason="why"),))
    assert "[red]x[/red]" in shown(Results(view))


def test_plain_lines_tell_every_end() -> None:
    console = Console(file=io.StringIO(), width=80)
    with watch(run_view, console):
        pass
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert len(lines) == 5  # all but the one that waits
    assert any(DIGEST in line for line in lines)


def test_plain_lines_tell_every_phase_once_however_short() -> None:
    board = Board("ledger", "DC0")
    console = Console(file=io.StringIO(), width=80)
    with watch(board.view, console):
        for phase in (RunPhase.RUNNING, RunPhase.DRAINING, RunPhase.DRAINING, RunPhase.CANCELLING):
            board.phase = phase
        board.end("interrupted")
    assert isinstance(console.file, io.StringIO)
    said = [line.partition(" s  ")[2] for line in console.file.getvalue().splitlines()]
    assert said == [
        "reading the inventory",
        "finishing what was begun; Ctrl-C again cancels it",
        "cancelling and cleaning up; Ctrl-C again exits at once",
    ]


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.50 KiB"), (5 << 40, "5.00 TiB")]
)
def test_sizes(count: int, words: str) -> None:
    assert text.size(count) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.04, "0.0 s"), (59.94, "59.9 s"), (185, "3 min 05 s"), (8040, "2 h 14 min")]
)
def test_durations(seconds: float, words: str) -> None:
    assert text.duration(seconds) == words
