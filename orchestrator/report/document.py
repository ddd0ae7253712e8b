"""The report of a run: one JSON document for machines, one HTML page for people, from the same view."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from orchestrator import __version__, durable
from orchestrator.fleet.states import JobState
from orchestrator.fleet.view import ConversionView, JobView, RunView
from orchestrator.report import text
from orchestrator.report.order import worst_first
from orchestrator.verify.verdict import Verification
from orchestrator.verify.words import observed_lines

FORMAT_VERSION = 1
"""Of the JSON document; raised when a key changes its meaning or goes."""

_LOG_LINES = 3
"""Of a service that fails, on the page; the document has more."""


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
    environment.filters.update(
        size=text.size,
        duration=text.duration,
        count=_count,
        noun=text.noun,
        with_code=_with_code,
        alike=_alike,
        repository=_repository,
    )
    jobs = worst_first(view.jobs)
    by_state = {state: [job for job in jobs if job.state is state] for state in JobState}
    attempted = [job for job in jobs if job.state is not JobState.SKIPPED]
    return environment.get_template("report.html.j2").render(
        view=view,
        version=__version__,
        headline=headline(view),
        steps=next_steps(view),
        done=by_state[JobState.DONE],
        failed=by_state[JobState.FAILED],
        cancelled=by_state[JobState.CANCELLED],
        skipped=by_state[JobState.SKIPPED],
        unfinished=[job for job in attempted if not job.state.final],
        left=[job for job in jobs if job.snapshot_left],
        image_bytes=sum(job.image.size for job in by_state[JobState.DONE] if job.image),
        received_bytes=sum(job.received_total for job in view.jobs),
        elapsed=(view.ended or view.now) - view.started,
        started=_moment(view.started),
        seconds=job_seconds,
        remarks=_remarks,
    )


def headline(view: RunView) -> str:
    """One sentence that tells how the run went."""
    counts = view.counts
    wanted = sum(counts[state] for state in JobState if state is not JobState.SKIPPED)
    if not wanted:
        return "There was nothing to convert."
    did = "planned" if view.plan_only else "converted"
    sentence = f"{counts[JobState.DONE]:,} of {text.plural(wanted, 'VM')} {did}"
    troubles = [
        f"{counts[state]:,} {state.value}" for state in (JobState.FAILED, JobState.CANCELLED) if counts[state]
    ]
    left = sum(job.snapshot_left for job in view.jobs)
    troubles += [f"{text.plural(left, 'snapshot')} left in vCenter"] if left else []
    return f"{sentence}, {', '.join(troubles)}." if troubles else f"{sentence}."


def next_steps(view: RunView) -> list[tuple[str, str]]:
    """What the reader may want to do now, most urgent first: sentences, each with a command or without."""
    counts = view.counts
    steps = []
    if left := sum(job.snapshot_left for job in view.jobs):
        steps.append((f"Remove the {text.noun(left, 'snapshot')} named above:", "orchestrate sweep"))
    if failed := counts[JobState.FAILED]:
        which, them = ("VM", "it") if failed == 1 else (text.plural(failed, "VM"), "them")
        sentence = f"Look at the {which} that failed: the table says what to do."
        again = f"The same command then tries {them} again, and leaves alone what is done."
        steps.append((f"{sentence} {again}", ""))
    if unfinished := sum(not job.state.final or job.state is JobState.CANCELLED for job in view.jobs):
        which = "VM that is" if unfinished == 1 else f"{text.plural(unfinished, 'VM')} that are"
        steps.append((f"Run the same command again: it continues with the {which} not finished.", ""))
    if view.plan_only and counts[JobState.DONE]:
        sentence = "Look at the plans, change what you want otherwise, and run without --plan-only, with"
        steps.append((f"{sentence} the folder of plans:", "orchestrate --plans FOLDER"))
    elif counts[JobState.DONE]:
        sentence = (
            "Start an image with the compose file that was written for it, in a folder beside this page:"
        )
        steps.append((sentence, "docker compose -f compose/NAME.compose.yaml up"))
    return steps or [("Nothing was converted; the table says why each VM was skipped.", "")]


def job_seconds(job: JobView) -> float | None:
    """Wall time from the VM's admission to its end; None while there is none."""
    if job.started is None or job.ended is None:
        return None
    return job.ended - job.started


def write(view: RunView, folder: Path) -> Path:
    """Write ``report.html`` and ``report.json`` into ``folder``; gives the page's path.

    Each is replaced as a whole, so a reader never sees half of one.
    """
    durable.make_folder(folder)
    for name, content in (("report.json", as_json(view)), ("report.html", as_html(view))):
        durable.write_text(folder / name, content)
    return folder / "report.html"


def _count(items: Sequence[object]) -> str:
    return f"{len(items):,}"


def _alike(jobs: Sequence[JobView]) -> list[tuple[tuple[str, str, str], list[JobView]]]:
    """VMs without an image for the same stage, reason and remedy together, the most frequent first."""
    groups: dict[tuple[str, str, str], list[JobView]] = {}
    for job in jobs:
        error = job.cause if job.state is JobState.FAILED else None
        why = (error.stage.value, error.message, error.hint) if error else ("", job.reason, job.remedy)
        groups.setdefault(why, []).append(job)
    return sorted(groups.items(), key=lambda group: -len(group[1]))


def _repository(reference: str) -> str:
    """An image's reference without its digest."""
    return reference.partition("@")[0]


def _remarks(job: JobView) -> list[str]:
    """What a person should know about how an image came to be."""
    remarks = [job.reason] if job.reason else []
    if (found := job.conversion) is not None:
        starts = f"starts {found.service}" if found.service else "starts a shell"
        remarks.append(f"{found.release}; {starts}; {_left_out(found)}.")
        remarks += [f"{step.volume} was read by {step.instead}: {step.reason}" for step in found.step_downs]
        remarks += found.notes
    if job.verification is not None:
        remarks += verification(job.verification)
    if job.snapshot_left:
        remarks.append("Its snapshot is still there: see above.")
    elif job.error is not None:
        tried = (
            f"Tried {job.attempt} times" if job.attempt > 1 else f"The {job.error.stage} failed on the way"
        )
        remarks.append(f"{tried}: {job.error.message}")
    return remarks


def verification(found: Verification) -> list[str]:
    """What became of an image's containers, and what those that failed said last."""
    remarks = [f"Containers {found.sentence()}."] if found.services or found.error else []
    for service in found.services:
        if not service.outcome.good:
            ports = [f"{port.number}/{port.protocol}: {port.said}" for port in service.ports]
            said = [f"its log ends: {' / '.join(service.lines[-_LOG_LINES:])}"] if service.lines else []
            told = [service.reason] if service.reason else []
            remarks.append(f"{service.service} {service.outcome}: {'; '.join([*told, *ports, *said])}")
    remarks += [f"Service {line}." for line in observed_lines(found)]
    if found.also:
        remarks.append(f"Listening, and in no configuration that was read: {', '.join(found.also)}.")
    return remarks


def _left_out(found: ConversionView) -> str:
    """What the image lacks of the guest, by the names in docs/cleaning.md."""
    if not found.left_out:
        return "nothing left out of the image"
    rules = (f"{rule.name} {text.size(rule.bytes)}" if rule.bytes else rule.name for rule in found.left_out)
    size = text.size(sum(rule.bytes for rule in found.left_out))
    return f"{size} left out of the image ({', '.join(rules)})"


def _with_code(words: str) -> Markup:
    """Text of ours, in which commands stand between backticks, for the page."""
    plain, *pairs = words.split("`")
    if len(pairs) % 2:
        return escape(words)
    shown = escape(plain)
    for command, after in zip(pairs[::2], pairs[1::2], strict=True):
        shown += Markup("<code>{}</code>{}").format(command, after)
    return shown


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
