"""From facts to an image: what it starts, and with which resources. Pure: nothing here reads or writes."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace

from converters.guest.facts import Directory, GuestFacts, Job, Role, Service
from converters.image.config import RunConfig

MIB = 1 << 20

SHELL = ("/bin/sh",)
"""What an image starts when no single service is its purpose: something a person can look around with."""


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """What the virtualisation layer knows of a machine; all but the name may be unknown."""

    name: str
    vcpus: int = 0
    """Virtual processors; 0 when not known, as for a disk without its machine."""
    memory_mib: int = 0
    """Configured memory in MiB; 0 when not known."""
    cpu_limit: float | None = None
    """Limit in cores (vSphere's MHz divided by those of one core of the host); None: no limit."""
    cpu_reservation: float = 0.0
    """Reserved cores."""
    memory_limit_mib: int | None = None
    """Limit in MiB below the configured memory; None: no limit."""
    memory_reservation_mib: int = 0
    restart_priority: str = ""
    """vSphere HA's word: ``disabled``, ``lowest`` … ``highest``; empty when not known."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What a container of the image should get: the machine's, by the tighter of its size and its limit."""

    cpus: float | None
    """Cores; None: no limit."""
    memory_bytes: int | None
    """None: no limit."""
    cpus_reserved: float = 0.0
    memory_reserved_bytes: int = 0
    restart_priority: str = ""


@dataclass(frozen=True, slots=True)
class ImagePlan:
    """One image to be made from one guest."""

    name: str
    """The machine's name."""
    hostname: str
    """The guest's own name; empty when it has none."""
    architecture: str
    """OCI's word; empty when it is not known."""
    run: RunConfig
    resources: Resources
    service: str = ""
    """The service the image starts; empty when it starts a shell."""
    directories: tuple[Directory, ...] = ()
    """To be made in the image, parents before children: the guest makes them at each boot."""
    notes: tuple[str, ...] = ()
    """What a person should know before running the image, each a sentence."""


def plan_image(
    guest: GuestFacts, machine: MachineFacts, labels: tuple[tuple[str, str], ...] = ()
) -> ImagePlan:
    """What the image of ``guest`` starts.

    Exactly one application service, if its foreground command is known, becomes the entrypoint. Otherwise the
    image starts a shell, and the notes name each service with the command that would start it: an image that
    starts the wrong one of two looks healthy and is not.

    Args:
        labels: of the image, by name.
    """
    applications = [service for service in guest.services if service.role is Role.APPLICATION]
    service = applications[0] if len(applications) == 1 and applications[0].command else None
    run = _run_service(service) if service else RunConfig(cmd=SHELL, env=guest.environment)
    return ImagePlan(
        name=machine.name,
        hostname=guest.hostname,
        architecture=guest.architecture,
        run=replace(run, labels=tuple(sorted(labels))),
        resources=resources(machine),
        service=service.name if service else "",
        directories=guest.directories,
        notes=(
            *((*service.notes, *_unreachable(service)) if service else _why_a_shell(applications)),
            *_scheduled(guest.jobs),
        ),
    )


def resources(machine: MachineFacts) -> Resources:
    """A container's share: a limit below the configured size counts, one above it changes nothing."""
    cores = [float(machine.vcpus)] if machine.vcpus else []
    cores += [machine.cpu_limit] if machine.cpu_limit is not None else []
    memory = [machine.memory_mib] if machine.memory_mib else []
    memory += [machine.memory_limit_mib] if machine.memory_limit_mib is not None else []
    memory_bytes = min(memory) * MIB if memory else None
    reserved = machine.memory_reservation_mib * MIB
    return Resources(
        cpus=min(cores, default=None),
        memory_bytes=memory_bytes,
        cpus_reserved=machine.cpu_reservation,
        memory_reserved_bytes=reserved if memory_bytes is None else min(reserved, memory_bytes),
        restart_priority=machine.restart_priority,
    )


def _run_service(service: Service) -> RunConfig:
    # A user without a group keeps all of its groups; naming one drops the others.
    user = f"{service.user}:{service.group}" if service.user and service.group else service.user
    return RunConfig(
        entrypoint=service.command,
        env=service.environment,
        user=user,
        working_dir=service.working_directory,
        exposed_ports=tuple(f"{port.number}/{port.protocol}" for port in service.ports if not port.loopback),
        stop_signal=service.stop_signal,
    )


def _unreachable(service: Service) -> tuple[str, ...]:
    """Ports that nobody outside the container reaches, so that publishing them would promise too much."""
    return tuple(
        f"Service {service.name} opens port {port.number}/{port.protocol} on the loopback address only"
        f" ({port.source}): other containers reach it only in the same network namespace."
        for port in service.ports
        if port.loopback
    )


def _why_a_shell(applications: list[Service]) -> tuple[str, ...]:
    """Why no service was chosen, and how to start each."""
    if not applications:
        return ("No application service was found, so the image starts a shell.",)
    several = len(applications) > 1
    found = (
        f"{len(applications)} application services were found"
        if several
        else "No foreground command is known"
    )
    return (f"{found}, so the image starts a shell.", *(_how_to_start(service) for service in applications))


def _how_to_start(service: Service) -> str:
    if not service.command:
        return f"Service {service.name} ({service.unit}): no command is known. " + " ".join(service.notes)
    as_user = f" as user {service.user}" if service.user else ""
    return f"Service {service.name} ({service.unit}) starts with: {shlex.join(service.command)}{as_user}"


def _scheduled(jobs: tuple[Job, ...]) -> tuple[str, ...]:
    """Jobs that the machine ran by the clock, which no container starts by itself."""
    return tuple(_to_schedule(job) for job in jobs if job.role is Role.APPLICATION)


def _to_schedule(job: Job) -> str:
    command = " && ".join(shlex.join(words) for words in job.commands) or "a command that is not known"
    when = "at boot" if job.at_boot else f"at `{job.schedule}`" if job.schedule else "by the clock"
    zone = f" ({job.timezone})" if job.timezone else ""
    as_user = f" as user {job.user}" if job.user else ""
    told = f"Job {job.name} ({job.source}) ran {when}{zone}{as_user}: {command}. Schedule it from outside."
    return " ".join((told, *job.notes))
