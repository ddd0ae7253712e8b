"""What a person sees while a run goes on: a table that redraws itself, or plain lines without a terminal."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from orchestrator.fleet.states import JobState
from orchestrator.fleet.view import JobView, RunPhase, RunView
from orchestrator.report import text

REFRESHES_PER_SECOND = 4
LINES_INTERVAL = 0.5
"""Seconds between two looks for plain lines; a state shorter than this is told with the next one."""
PROGRESS_INTERVAL = 10.0
"""Seconds between two plain lines about a VM that stays in one state."""
ROWS = 16
"""VMs at work that the table shows; the others are counted."""

_PHASES = {
    RunPhase.STARTING: "reading the inventory",
    RunPhase.DRAINING: "finishing what was begun; Ctrl-C again cancels it",
    RunPhase.CANCELLING: "cancelling and cleaning up; Ctrl-C again exits at once",
}


@contextmanager
def watch(view: Callable[[], RunView], console: Console) -> Iterator[None]:
    """Show the run until the block ends."""
    if console.is_terminal:
        with Live(
            console=console,
            get_renderable=lambda: render(view()),
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


def render(view: RunView) -> RenderableType:
    """The run at this moment: totals, then the VMs at work, at most ``ROWS`` of them."""
    working = [job for job in view.jobs if job.running]
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("VM", "state"):
        table.add_column(heading, no_wrap=True)
    for heading in ("downloaded", "read", "pushed", "rate", "time"):
        table.add_column(heading, justify="right", no_wrap=True)
    for job in working[:ROWS]:
        started = job.started if job.started is not None else view.now
        table.add_row(
            Text(job.vm),
            job.state.value + (f" (try {job.attempt})" if job.attempt > 1 else ""),
            _share(job.received_bytes, job.wire_bytes),
            text.size(job.read_bytes),
            text.size(job.pushed_bytes),
            text.rate(job.rate),
            text.duration(view.now - started),
        )
    more = [Text(f"… and {len(working) - ROWS} more", style="dim")] if len(working) > ROWS else []
    return Group(Text(summary(view), style="bold"), table, *more)


def summary(view: RunView) -> str:
    """One line: how many VMs are where, and how fast it goes."""
    counts = view.counts
    rates = sum(job.rate for job in view.jobs if job.running)
    working = sum(bool(job.running) for job in view.jobs)
    parts = [
        f"{view.datacenter}: {counts[JobState.DONE]} done",
        f"{working} at work",
        f"{counts[JobState.QUEUED]} waiting",
        f"{counts[JobState.FAILED]} failed",
        f"{counts[JobState.SKIPPED]} skipped",
        text.rate(rates),
        text.duration(view.now - view.started),
    ]
    if view.phase in _PHASES:
        parts.append(_PHASES[view.phase])
    return " · ".join(parts)


def results(view: RunView) -> Table:
    """The table at the end of a run: every VM, its verdict, and its image or the reason why there is none."""
    table = Table(header_style="bold", pad_edge=False)
    table.add_column("VM", overflow="fold")
    table.add_column("verdict", no_wrap=True)
    table.add_column("image, or the reason", overflow="fold", ratio=1)
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    colours = {JobState.DONE: "green", JobState.FAILED: "red", JobState.CANCELLED: "yellow"}
    for job in view.jobs:
        seconds = job.ended - job.started if job.ended is not None and job.started is not None else None
        table.add_row(
            Text(job.vm),
            Text(job.state.value, style=colours.get(job.state, "dim")),
            Text(outcome(job)),
            text.size(job.image.size) if job.image else "",
            text.duration(seconds) if seconds is not None else "",
        )
    return table


def plan(view: RunView) -> Table:
    """What a run would do: every VM, the size of its disks, and why it would not be converted."""
    table = Table(header_style="bold", pad_edge=False)
    table.add_column("VM", overflow="fold")
    table.add_column("folder", overflow="fold")
    table.add_column("verdict", no_wrap=True)
    table.add_column("disks", justify="right", no_wrap=True)
    table.add_column("used", justify="right", no_wrap=True)
    table.add_column("why not, and what to do", overflow="fold", ratio=1)
    words = {JobState.QUEUED: "convert", JobState.DONE: "done"}
    for job in view.jobs:
        verdict = words.get(job.state, job.state.value)
        reason = "" if job.state is JobState.QUEUED else outcome(job)
        sizes = (text.size(job.capacity_bytes), text.size(job.used_bytes))
        table.add_row(Text(job.vm), Text(job.folder), verdict, *sizes, Text(reason))
    return table


def outcome(job: JobView) -> str:
    """Its image's reference, or why it has none and what to do."""
    if job.state is JobState.DONE and job.image is not None:
        return job.image.reference
    if job.state is JobState.FAILED and job.error is not None:
        return f"{job.error.message} → {job.error.hint}" if job.error.hint else job.error.message
    return f"{job.reason} → {job.remedy}" if job.remedy else job.reason


def _share(part: int, whole: int) -> str:
    return f"{text.size(part)} ({part / whole:.0%})" if whole else text.size(part)


def _tell(view: Callable[[], RunView], console: Console, ended: threading.Event) -> None:
    """Print a line whenever a VM or the run changes its state, and now and then about a VM that does not."""
    told: dict[str, tuple[JobState, float]] = {}
    phase = RunPhase.STARTING
    last = False
    while not last:
        last = ended.wait(LINES_INTERVAL)
        now = view()
        if now.phase is not phase and now.phase in _PHASES:
            console.print(Text(f"{now.now - now.started:8.1f} s  {_PHASES[now.phase]}"), soft_wrap=True)
        phase = now.phase
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
