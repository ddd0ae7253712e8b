"""Units for fleet, the cluster scheduler over systemd: a service a container, a timer a job.

fleet takes systemd's units with a section of its own, ``[X-Fleet]``, and schedules the units of one machine
onto one host (fleet's documentation, "Unit Files and Scheduling").
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from converters.manifests import unit_text
from converters.manifests.calendar import calendar_events
from converters.manifests.engine_options import (
    container_name,
    job_command,
    job_options,
    owner_options,
    secret_binds,
    service_options,
)
from converters.manifests.machine import IDLE_STOP_SECONDS, Container, Machine, ScheduledJob
from converters.manifests.yaml_text import comment

_DOCKER = "/usr/bin/docker"
_SECRETS = "/etc/orchestrate"
_START_SECONDS = "0"
"""The first start pulls the image, which takes as long as it takes."""

Settings = list[tuple[str, str]]


def fleet(machine: Machine) -> dict[str, str]:
    """The units by file name: ``fleetctl start *.service``."""
    head = [
        f"Machine {comment(machine.title)}, {comment(machine.summary)}.",
        *map(comment, machine.notes),
        f"fleetctl start {machine.name}*",
    ]
    if machine.secrets:
        head.append(f"Put the folder {comment(machine.secrets_folder)} into {_SECRETS} of each host before.")
    units: dict[str, str] = {}
    if machine.alone:
        (only,) = machine.containers
        units[f"{machine.name}.service"] = _unit(machine, only, head)
    else:
        units[f"{machine.name}.service"] = _owner(machine, head)
        for container in machine.containers:
            units[f"{container_name(machine, container)}.service"] = _unit(machine, container, ())
    for job in machine.jobs:
        units |= _job(machine, job)
    return units


def _owner(machine: Machine, head: Iterable[str]) -> str:
    settings = _running(machine, machine.name, owner_options(machine), machine.image, IDLE_STOP_SECONDS)
    return unit_text.unit([("Unit", _about(machine.title)), ("Service", settings)], head)


def _unit(machine: Machine, container: Container, head: Iterable[str]) -> str:
    name = container_name(machine, container)
    binds = secret_binds(container, f"{_SECRETS}/{machine.secrets_folder}")
    options = (*service_options(machine, container), *(word for one in binds for word in ("--volume", one)))
    settings = _running(machine, name, options, container.image, container.stop_seconds)
    about = _about(f"{container.service or machine.title} of {machine.title}")
    sections = [("Unit", about), ("Service", settings)]
    if not machine.alone:
        # A container that joins the network of one that was made anew has to be made anew as well.
        about += [("BindsTo", f"{machine.name}.service"), ("After", f"{machine.name}.service")]
        sections += _beside(machine)
    return unit_text.unit(sections, head)


def _running(machine: Machine, name: str, options: Iterable[str], image: str, stop_seconds: int) -> Settings:
    restart = "no" if machine.resources.restart_priority == "disabled" else "always"
    return [
        ("TimeoutStartSec", _START_SECONDS),
        ("TimeoutStopSec", str(stop_seconds + 30)),
        ("Restart", restart),
        ("RestartSec", "5"),
        ("ExecStartPre", "-" + unit_text.command((_DOCKER, "rm", "-f", name))),
        ("ExecStartPre", unit_text.command((_DOCKER, "pull", image))),
        ("ExecStart", unit_text.command((_DOCKER, "run", *options, image))),
        ("ExecStop", "-" + unit_text.command((_DOCKER, "stop", "-t", str(stop_seconds), name))),
    ]


def _job(machine: Machine, job: ScheduledJob) -> Iterator[tuple[str, str]]:
    stem = f"{machine.name}.{job.key}"
    option, words = job_command(job.command, machine.image)
    # Without a terminal: what a job says goes to the host's journal.
    line = unit_text.command((_DOCKER, "run", *job_options(machine), *option, *words))
    about = [*_about(f"{job.name} of {machine.title}"), ("After", f"{machine.name}.service")]
    once: Settings = [("Type", "oneshot"), ("TimeoutStartSec", _START_SECONDS), ("ExecStart", line)]
    when = ["It ran at boot."] if job.at_boot else []
    yield f"{stem}.service", unit_text.unit([("Unit", about), ("Service", once), *_beside(machine)], when)
    if job.schedule:
        events = calendar_events(job.schedule, job.timezone)
        clock = [("OnCalendar", event) for event in events]
        sections = [("Unit", _about(f"{job.name} of {machine.title}")), ("Timer", clock), *_beside(machine)]
        yield f"{stem}.timer", unit_text.unit(sections)


def _about(text: str) -> Settings:
    return [
        ("Description", unit_text.value(text)),
        ("Requires", "docker.service"),
        ("After", "docker.service"),
    ]


def _beside(machine: Machine) -> list[tuple[str, Settings]]:
    return [("X-Fleet", [("MachineOf", f"{machine.name}.service")])]
