"""What was found of services and jobs, in the words of a plan file: to be written, and to be compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from converters.guest.facts import GuestFacts, Job, Port, Role, Service
from converters.plan import MIB, HealthCheck, Resources, ServiceChoice
from converters.planfile.model import HealthEntry, ResourcesEntry, memory_bytes, memory_text


def service_values(service: Service, choice: ServiceChoice) -> dict[str, Any]:
    """By the keys of ``ServiceEntry``; None where nothing is said."""
    return {
        "run": service.role is Role.APPLICATION,
        "name": service.name,
        "command": service.command,
        "user": service.user,
        "group": service.group,
        "working_directory": service.working_directory,
        "environment": dict(service.environment),
        "stop_signal": service.stop_signal,
        "ports": port_texts(port for port in service.ports if not port.loopback),
        "local_ports": port_texts(port for port in service.ports if port.loopback),
        "volumes": tuple(dict.fromkeys(data.path for data in service.data)),
        "resources": None if choice.resources is None else resources_entry(choice.resources),
        "health": None if choice.health is None else health_entry(choice.health),
    }


def job_values(job: Job) -> dict[str, Any]:
    """By the keys of ``JobEntry``."""
    return {
        "run": job.role is Role.APPLICATION,
        "schedule": job.schedule,
        "timezone": job.timezone,
        "user": job.user,
        "commands": job.commands,
        "environment": dict(job.environment),
    }


def service_keys(services: Iterable[Service]) -> Mapping[str, Service]:
    """Services by what a plan calls them: their names, which are told apart by then."""
    return {service.name: service for service in services}


def job_keys(jobs: Iterable[Job]) -> Mapping[str, Job]:
    """Jobs by what a plan calls them: two sources may have one name for theirs."""
    found: dict[str, Job] = {}
    for job in jobs:
        found[next(key for key in numbered(job.name) if key not in found)] = job
    return found


def numbered(name: str) -> Iterator[str]:
    """A name, and others like it, for those that come after the first."""
    yield name
    number = 1
    while True:
        number += 1
        yield f"{name}.{number}"


def port_texts(ports: Iterable[Port]) -> tuple[str, ...]:
    """``80/tcp``, each once."""
    return tuple(dict.fromkeys(f"{port.number}/{port.protocol}" for port in ports))


def release_text(guest: GuestFacts) -> str:
    """Which release of which distribution: ``debian 12``."""
    return f"{guest.release.id} {guest.release.version}".strip()


def resources_entry(found: Resources) -> ResourcesEntry:
    """Resources in the words of a plan."""
    return ResourcesEntry.model_construct(
        cpus=found.cpus,
        memory=_memory(found.memory_bytes),
        cpus_reserved=found.cpus_reserved or None,
        memory_reserved=_memory(found.memory_reserved_bytes),
    )


def resources_of(entry: ResourcesEntry, otherwise: Resources) -> Resources:
    """What an entry says, and of what it does not say, what was there before."""
    return Resources(
        cpus=otherwise.cpus if entry.cpus is None else entry.cpus,
        memory_bytes=otherwise.memory_bytes if entry.memory is None else memory_bytes(entry.memory),
        cpus_reserved=otherwise.cpus_reserved if entry.cpus_reserved is None else entry.cpus_reserved,
        memory_reserved_bytes=otherwise.memory_reserved_bytes
        if entry.memory_reserved is None
        else memory_bytes(entry.memory_reserved),
        restart_priority=otherwise.restart_priority,
    )


def health_entry(found: HealthCheck) -> HealthEntry:
    """A health check in the words of a plan."""
    return HealthEntry.model_construct(
        command=found.command or None,
        port=found.port or None,
        path=found.path or None,
        interval_seconds=found.interval_seconds,
    )


def health_of(entry: HealthEntry) -> HealthCheck:
    """What an entry says."""
    return HealthCheck(entry.command or (), entry.port or 0, entry.path or "", entry.interval_seconds)


def _memory(size: int | None) -> str | None:
    return memory_text(size) if size else None


def told_resources(found: Resources) -> str:
    """Resources for people."""
    said = [
        f"{found.cpus:g} cores" if found.cpus is not None else "",
        f"{found.memory_bytes // MIB} MiB" if found.memory_bytes is not None else "",
        f"{found.cpus_reserved:g} cores reserved" if found.cpus_reserved else "",
        f"{found.memory_reserved_bytes // MIB} MiB reserved" if found.memory_reserved_bytes else "",
    ]
    return ", ".join(filter(None, said)) or "no limit"
