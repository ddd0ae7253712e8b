"""The report of a run: one JSON document for machines, one HTML page for people, from the same view."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from orchestrator import __version__
from orchestrator.fleet.states import JobState
from orchestrator.fleet.view import JobView, RunView
from orchestrator.report import text

FORMAT_VERSION = 1
"""Of the JSON document; raised when a key changes its meaning or goes."""


def as_json(view: RunView) -> str:
    """The run as one JSON document: ``version``, ``run`` and every VM with its stages, errors and image."""
    document: dict[str, Any] = {
        "version": FORMAT_VERSION,
        "product": f"orchestrate {__version__}",
        "counts": {state.value: count for state, count in view.counts.items()},
        "run": asdict(view),
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def as_html(view: RunView) -> str:
    """The run as one self-contained HTML page; everything from a VM or its guest is escaped."""
    environment = Environment(
        loader=PackageLoader("orchestrator.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(size=text.size, duration=text.duration)
    by_state = {state: [job for job in view.jobs if job.state is state] for state in JobState}
    attempted = [job for job in view.jobs if job.state is not JobState.SKIPPED]
    return environment.get_template("report.html.j2").render(
        view=view,
        version=__version__,
        headline=headline(view),
        done=by_state[JobState.DONE],
        failed=by_state[JobState.FAILED],
        cancelled=by_state[JobState.CANCELLED],
        skipped=by_state[JobState.SKIPPED],
        unfinished=[job for job in attempted if not job.state.final],
        left=[job for job in view.jobs if job.snapshot_left],
        retried=[job for job in by_state[JobState.DONE] if job.errors],
        image_bytes=sum(job.image.size for job in by_state[JobState.DONE] if job.image),
        received_bytes=sum(job.received_total for job in view.jobs),
        elapsed=(view.ended or view.now) - view.started,
        started=_moment(view.started),
        seconds=job_seconds,
    )


def headline(view: RunView) -> str:
    """One sentence that tells how the run went."""
    counts = view.counts
    wanted = sum(counts[state] for state in JobState if state is not JobState.SKIPPED)
    if not wanted:
        return "There was nothing to convert."
    sentence = f"{counts[JobState.DONE]:,} of {text.plural(wanted, 'VM')} converted"
    troubles = [
        f"{counts[state]:,} {state.value}" for state in (JobState.FAILED, JobState.CANCELLED) if counts[state]
    ]
    return f"{sentence}, {', '.join(troubles)}." if troubles else f"{sentence}."


def job_seconds(job: JobView) -> float | None:
    """Wall time from the VM's admission to its end; None while there is none."""
    if job.started is None or job.ended is None:
        return None
    return job.ended - job.started


def write(view: RunView, folder: Path) -> Path:
    """Write ``report.html`` and ``report.json`` into ``folder``; gives the page's path.

    Each is replaced as a whole, so a reader never sees half of one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (("report.json", as_json(view)), ("report.html", as_html(view))):
        part = folder / f"{name}.part"
        part.write_text(content, encoding="utf-8")
        part.replace(folder / name)
    return folder / "report.html"


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
