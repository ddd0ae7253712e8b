"""What a person sees while a run goes on: a table that redraws itself, or plain lines without a terminal."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, Group, JustifyMethod, RenderableType, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from orchestrator.fleet.states import JobState
from orchestrator.fleet.view import JobView, RunPhase, RunView
from orchestrator.report import text
from orchestrator.report.order import worst_first

REFRESHES_PER_SECOND = 4
LINES_INTERVAL = 0.5
"""Seconds between two looks for plain lines; a state shorter than this is told with the next one."""
PROGRESS_INTERVAL = 10.0
"""Seconds between two plain lines about a VM that stays in one state."""
ROWS = 16
"""VMs at work that the table shows; the others are counted."""
WIDE = 100
"""Columns from which on there is room for rates in the live view."""
TABLE_WIDTH = 160
"""Columns from which on a reference with its digest has room in a table."""

_STYLES = {JobState.DONE: "green", JobState.FAILED: "red", JobState.CANCELLED: "yellow"}
_COLUMNS = (("state", 12), ("downloaded", 15), ("read", 8), ("pushed", 8), ("rate", 10), ("time", 11))
"""Of the live table, beside the VM's name: wide enough for what comes, so that nothing moves."""
_PHASES = {
    RunPhase.STARTING: "reading the inventory",
    RunPhase.TESTING: "testing the workers",
    RunPhase.DRAINING: "finishing what was begun; Ctrl-C again cancels it",
    RunPhase.CANCELLING: "cancelling and cleaning up; Ctrl-C again exits at once",
}


@contextmanager
def watch(view: Callable[[], RunView], console: Console) -> Iterator[None]:
    """Show the run until the block ends."""
    if console.is_terminal:
        with Live(
            console=console,
            get_renderable=lambda: render(view(), console.width),
            refresh_per_second=REFRESHES_PER_SECOND,
            transient=True,
        ):
            yield
        return
    ended = threading.Event()
    thread = threading.Thread(target=_tell, args=(view, console, ended), name="plain-lines", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def render(view: RunView, width: int) -> RenderableType:
    """The run at this moment in ``width`` columns: totals, then at most ``ROWS`` of the VMs at work."""
    working = [job for job in view.jobs if job.running]
    ended = sum(job.state.final for job in view.jobs)
    lines: list[RenderableType] = [summary(view)]
    if view.phase in _PHASES:
        lines.append(Text(_PHASES[view.phase], style="yellow"))
    if view.jobs:
        bar = ProgressBar(len(view.jobs), ended, min(width, WIDE), complete_style="green")
        lines.append(bar)
    if working:
        lines.append(_working(working[:ROWS], view.now, width))
    if len(working) > ROWS:
        lines.append(Text(f"… and {len(working) - ROWS} more", style="dim"))
    return Group(*lines)


def _working(jobs: list[JobView], now: float, width: int) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", width=min(width, WIDE + 20))
    table.add_column("VM", no_wrap=True, overflow="ellipsis", ratio=1)
    columns = [column for column in _COLUMNS if width >= WIDE or column[0] != "rate"]
    for heading, columns_wide in columns:
        justify: JustifyMethod = "left" if heading == "state" else "right"
        table.add_column(heading, justify=justify, no_wrap=True, width=columns_wide)
    for job in jobs:
        cells: dict[str, Text | str] = {
            "state": _state(job),
            "downloaded": _share(job.received_bytes, job.wire_bytes),
            "read": text.size(job.read_bytes),
            "pushed": text.size(job.pushed_bytes),
            "rate": text.rate(job.rate),
            "time": text.duration(now - (job.started if job.started is not None else now)),
        }
        table.add_row(Text(job.vm), *(cells[heading] for heading, _ in columns))
    return table


def _state(job: JobView) -> Text:
    """Its state; with the number of the try from the second on."""
    if job.attempt > 1:
        return Text(f"{job.state.value[:9]} #{job.attempt}", style="yellow")
    return Text(job.state.value)


def summary(view: RunView) -> Text:
    """One line: how many VMs are where, and how fast it goes."""
    counts = view.counts
    working = sum(bool(job.running) for job in view.jobs)
    failed = counts[JobState.FAILED]
    parts = [
        (f"{counts[JobState.DONE]:,} done", "green"),
        (f"{working} at work", ""),
        (f"{counts[JobState.QUEUED]:,} waiting", ""),
        (f"{failed:,} failed", "red" if failed else ""),
        (f"{counts[JobState.SKIPPED]:,} skipped", "dim"),
        (text.rate(sum(job.rate for job in view.jobs if job.running)), ""),
        (text.duration(view.now - view.started), ""),
    ]
    return Text(f"{view.datacenter}: ", style="bold").append_text(
        Text(" · ").join(Text(words, style=style) for words, style in parts)
    )


@dataclass(frozen=True, slots=True)
class Results:
    """What came of every VM, trouble first: its verdict, and its image or the reason why there is none.

    A table where a reference fits beside the name; else below the name, on a line of its own that the
    terminal breaks and a person can copy. Print it without cropping.
    """

    view: RunView

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """See rich's console protocol."""
        if options.max_width >= TABLE_WIDTH:
            yield self._table()
            return
        jobs = worst_first(self.view.jobs)
        rows = [(job.vm, job.state.value, *_figures(job)) for job in jobs]
        widths = [max((cell_len(row[column]) for row in rows), default=0) for column in range(4)]
        for job, row in zip(jobs, rows, strict=True):
            name, verdict, *figures = (
                set_cell_size(cell, width) if column < 2 else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            yield Text.assemble(
                name, "  ", (verdict, _STYLES.get(job.state, "dim")), "  ", "  ".join(figures)
            )
            yield Text(f"    {outcome(job)}", no_wrap=True, overflow="ignore")

    def _table(self) -> Table:
        table = Table(header_style="bold", pad_edge=False)
        table.add_column("VM", overflow="fold")
        table.add_column("verdict", no_wrap=True)
        table.add_column("image, or the reason", overflow="fold", ratio=1)
        table.add_column("size", justify="right", no_wrap=True)
        table.add_column("time", justify="right", no_wrap=True)
        for job in worst_first(self.view.jobs):
            verdict = Text(job.state.value, style=_STYLES.get(job.state, "dim"))
            table.add_row(Text(job.vm), verdict, Text(outcome(job)), *_figures(job))
        return table


def _figures(job: JobView) -> tuple[str, str]:
    """The image's size and the VM's time, where there are."""
    seconds = job.ended - job.started if job.ended is not None and job.started is not None else None
    size = text.size(job.image.size) if job.image else ""
    return size, text.duration(seconds) if seconds is not None else ""


def outcome(job: JobView) -> str:
    """Its image's reference, or why it has none and what to do."""
    if job.state is JobState.DONE and job.image is not None:
        return job.image.reference
    if job.state is JobState.FAILED and (cause := job.cause) is not None:
        return f"{cause.message} → {cause.hint}" if cause.hint else cause.message
    return f"{job.reason} → {job.remedy}" if job.remedy else job.reason


def _share(part: int, whole: int) -> str:
    return f"{text.size(part)} ({part / whole:.0%})" if whole else text.size(part)


def _tell(view: Callable[[], RunView], console: Console, ended: threading.Event) -> None:
    """Print a line whenever a VM or the run changes its state, and now and then about a VM that does not."""
    told: dict[str, tuple[JobState, float]] = {}
    phases = 0
    last = False
    while not last:
        last = ended.wait(LINES_INTERVAL)
        now = view()
        passed = (*now.passed, now.phase)
        for phase in passed[phases:]:
            if phase in _PHASES:
                console.print(Text(f"{now.now - now.started:8.1f} s  {_PHASES[phase]}"), soft_wrap=True)
        phases = len(passed)
        for job in now.jobs:
            state, since = told.get(job.job, (JobState.QUEUED, now.started))
            due = bool(job.running) and now.now - since >= PROGRESS_INTERVAL
            if job.state is not state or due:
                told[job.job] = (job.state, now.now)
                console.print(Text(line(job, now.now - now.started)), soft_wrap=True)


def line(job: JobView, elapsed: float) -> str:
    """What is to be told of a VM that has just reached its state, ``elapsed`` seconds into the run."""
    start = f"{elapsed:8.1f} s  {job.vm}: {job.state.value}"
    if job.state is JobState.DONE and job.image is not None:
        return f"{start}  {job.image.reference}  {text.size(job.image.size)}"
    if job.state in (JobState.FAILED, JobState.SKIPPED, JobState.CANCELLED):
        return f"{start}  {outcome(job)}"
    if job.state is JobState.QUEUED and job.error is not None:
        return f"{start} again  {job.error.message}"
    figures = [
        f"{name} {text.size(count)}"
        for name, count in (
            ("downloaded", job.received_bytes),
            ("read", job.read_bytes),
            ("pushed", job.pushed_bytes),
        )
        if count
    ]
    if job.rate:
        figures.append(text.rate(job.rate))
    return f"{start}  {', '.join(figures)}".rstrip()
