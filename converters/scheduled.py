"""What a machine ran by the clock, as jobs that the init runs once. Pure: nothing here reads or writes."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from converters.entrypoint import INIT, JOBS, file_name, made_path
from converters.guest.facts import GuestFacts, Job, Role
from converters.init.specification import Command, Execution, Specification


@dataclass(frozen=True, slots=True)
class JobPlan:
    """Something that the machine ran by the clock, and that the init runs once when it is told to."""

    name: str
    """Unique among the machine's jobs."""
    source: str
    """What of the machine said so."""
    schedule: str
    """Five fields of crontab(5); empty where those cannot say it."""
    at_boot: bool
    timezone: str
    specification: Specification
    notes: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """Where the machine's own image has what the init is told."""
        return f"{JOBS}/{file_name(self.name)}"


def job_plans(guest: GuestFacts) -> tuple[JobPlan, ...]:
    """The jobs of a machine that are its own and whose command is known, in the order they were found."""
    return tuple(_job_plans(guest))


def _job_plans(guest: GuestFacts) -> Iterator[JobPlan]:
    directories = tuple(map(made_path, guest.directories))
    names: Counter[str] = Counter()
    for job in guest.jobs:
        if job.role is not Role.APPLICATION or not job.commands:
            continue
        names[job.name] += 1
        name = job.name if names[job.name] == 1 else f"{job.name}.{names[job.name]}"
        told = Specification(
            name,
            "oneshot",
            start=tuple(Command(_with_input(words, job.input)) for words in job.commands),
            paths=directories,
            execution=Execution(user=job.user, environment=job.environment),
        )
        zone = job.timezone or guest.timezone
        yield JobPlan(name, job.source, job.schedule, job.at_boot, zone, told, job.notes)


def _with_input(words: tuple[str, ...], text: str) -> tuple[str, ...]:
    """A command that reads a text on its standard input."""
    if not text:
        return words
    return ("/bin/sh", "-c", f"printf %s {shlex.quote(text)} | {shlex.join(words)}")


def told_jobs(jobs: Iterable[JobPlan]) -> Iterator[str]:
    """Jobs that the machine ran by the clock, which no container starts by itself."""
    for job in jobs:
        when = "at boot" if job.at_boot else f"at `{job.schedule}`" if job.schedule else "by the clock"
        zone = f" ({job.timezone})" if job.timezone and job.schedule else ""
        told = f"Job {job.name} ({job.source}) ran {when}{zone}: `{INIT} {job.path}` runs it once."
        yield " ".join((told, *job.notes))


def told_without_command(jobs: Iterable[Job]) -> Iterator[str]:
    """Jobs that no image can run."""
    for job in jobs:
        if job.role is Role.APPLICATION and not job.commands:
            told = f"Job {job.name} ({job.source}) ran by the clock: no command of it is known."
            yield " ".join((told, *job.notes))
