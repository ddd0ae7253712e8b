"""From a plan to what runs a machine: containers, volumes, jobs; what no engine takes is left out."""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from converters.entrypoint import INIT
from converters.manifests.machine import IDLE_STOP_SECONDS, Container, Machine, ScheduledJob
from converters.manifests.names import label, labels
from converters.manifests.volumes import Volume, left_in_image, machine_volumes, service_volumes
from converters.plan import MIB, SHELL, HealthCheck, ImagePlan, Resources, ServicePlan
from converters.request import ServiceImage

_HOSTNAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,62}[A-Za-z0-9])?")
"""What fits into a container's host name (hostname(7), 64 bytes)."""
_DOMAIN = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62})(?:\.[a-z0-9](?:[a-z0-9-]{0,62})){0,10}")
_ZONE = re.compile(r"[A-Za-z0-9_+-]{1,32}(?:/[A-Za-z0-9_+-]{1,32}){0,3}")
_LOCAL_ZONES = frozenset(("Local", "localtime", "posixrules", "Factory"))
"""Files of the time zone database that name no zone."""

_LONGEST_MACHINE = 48
"""Kubernetes adds digests to a StatefulSet's name, and may need a letter in front: all are a label."""
_LONGEST_STOP = 3600.0
"""Seconds that stopping may take where the guest sets no limit; an engine wants one."""
_KILL_SECONDS = 5
"""For the init to end what did not end in time."""
_MOST_HOSTS = 256


def machine(plan: ImagePlan, reference: str, services: Sequence[ServiceImage] = ()) -> Machine:
    """The containers of a machine.

    Args:
        reference: the machine's own image by digest, ``host/name@sha256:…``; its last part names the machine.
        services: the images of its services, in the same repository, where it has several.
    """
    repository = reference.partition("@")[0]
    stem = repository.rpartition("/")[2].partition(":")[0]
    name = label(stem, _LONGEST_MACHINE)
    images = {service.name: f"{repository}@{service.digest}" for service in services}
    planned = [service for service in plan.services if plan.service or service.name in images]
    keys = labels([service.name for service in planned], taken=(name,))
    volumes = machine_volumes(plan)
    containers = tuple(
        _container(plan, service, keys[service.name], images.get(service.name, reference), volumes)
        for service in planned
    )
    return Machine(
        title=plan.name,
        name=name,
        image=reference,
        architecture=plan.architecture,
        containers=containers or (_shell(plan, name, reference, volumes),),
        jobs=_jobs(plan, (name, *keys.values())),
        volumes=volumes,
        ports=tuple(dict.fromkeys(port for one in containers for port in one.run.exposed_ports)),
        hostname=plan.hostname if _HOSTNAME.fullmatch(plan.hostname) else "",
        hosts=tuple(_hosts(plan))[:_MOST_HOSTS],
        resources=_within_engines(plan.resources),
        labels=plan.run.labels,
        notes=(*plan.notes, *_told(plan)),
        secrets_folder=f"{stem}.secrets",
        idle=SHELL if plan.starts else (),
        ipv6_loopback=any(port.ipv6_loopback for service in planned for port in service.ports),
    )


def _container(
    plan: ImagePlan, service: ServicePlan, key: str, image: str, volumes: Iterable[Volume]
) -> Container:
    told = service.specification
    health = service.health or _found_health(service)
    reachable = any(port.number == health.port and not port.loopback for port in service.ports)
    # The init is in an image only where something is told to it.
    has_init = any(one.specification for one in (*plan.services, *plan.members)) or bool(plan.jobs)
    return Container(
        key=key,
        service=service.name,
        image=image,
        run=service.run,
        stop_seconds=math.ceil(service.stop_seconds or _LONGEST_STOP) + (_KILL_SECONDS if told else 0),
        start_seconds=math.ceil((told.start_seconds if told else 0) or 90),
        capabilities=_capabilities(service),
        privilege=service.privilege,
        secrets=service.secrets,
        volumes=service_volumes(plan, service, volumes),
        check=_check(health, has_init),
        check_seconds=math.ceil(health.interval_seconds),
        probe_port=health.port if reachable or service.health else 0,
        probe_path=health.path,
        resources=_within_engines(service.resources) if service.resources else None,
    )


def _within_engines(found: Resources) -> Resources:
    """As much as an engine can say: no fewer than 0.01 processors and 6 MiB, no reservation above a limit."""
    cpus = None if found.cpus is None else max(found.cpus, 0.01)
    memory = None if found.memory_bytes is None else max(found.memory_bytes, 6 * MIB)
    return replace(
        found,
        cpus=cpus,
        memory_bytes=memory,
        cpus_reserved=found.cpus_reserved if cpus is None else min(found.cpus_reserved, cpus),
    )


def _found_health(service: ServicePlan) -> HealthCheck:
    """By its first TCP port, of those that others reach if there are such."""
    tcp = [port for port in service.ports if port.protocol == "tcp"]
    reachable = [port for port in tcp if not port.loopback]
    return HealthCheck(port=(reachable or tcp)[0].number if tcp else 0)


def _check(health: HealthCheck, has_init: bool) -> tuple[str, ...]:
    if health.command or not health.port or not has_init:
        return health.command
    if health.path:
        return (INIT, "--answers", str(health.port), health.path)
    return (INIT, "--listens", f"{health.port}/tcp")


def _shell(plan: ImagePlan, name: str, reference: str, volumes: tuple[Volume, ...]) -> Container:
    return Container(
        name, "", reference, plan.run, IDLE_STOP_SECONDS, 0, (), None, (), volumes, (), 30, 0, "", None
    )


def _capabilities(service: ServicePlan) -> tuple[str, ...]:
    told = service.specification
    names = () if told is None else told.execution.ambient_capabilities
    if service.privilege is not None:
        names = service.privilege.capabilities
    return tuple(dict.fromkeys(name.removeprefix("CAP_") for name in names))


def _jobs(plan: ImagePlan, taken: Iterable[str]) -> tuple[ScheduledJob, ...]:
    keys = labels([f"job-{job.name}" for job in plan.jobs], taken=taken)
    return tuple(
        ScheduledJob(
            key=keys[f"job-{job.name}"],
            name=job.name,
            schedule=job.schedule,
            timezone=_zone(job.timezone),
            at_boot=job.at_boot,
            command=(INIT, job.path),
        )
        for job in plan.jobs
    )


def _zone(name: str) -> str:
    return name if _ZONE.fullmatch(name) and name not in _LOCAL_ZONES else ""


def _hosts(plan: ImagePlan) -> Iterable[tuple[str, str]]:
    """Entries of the guest's /etc/hosts that still tell something: not of localhost, nor of the machine."""
    own = {plan.hostname.lower(), plan.hostname.partition(".")[0].lower()}
    for address, names in plan.hosts:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            continue
        if parsed.is_loopback or parsed.is_multicast or parsed.is_unspecified or parsed.is_link_local:
            continue
        for name in names:
            if _DOMAIN.fullmatch(name.lower()) and name.lower() not in own:
                yield name.lower(), str(parsed)


def _told(plan: ImagePlan) -> Iterable[str]:
    domains = [name for name in plan.search_domains if _DOMAIN.fullmatch(name)]
    if domains:
        yield (
            f"The machine looked names up in {', '.join(domains)}: where it used short names, tell the engine"
            " (dns_search, `--dns-search`, dnsConfig)."
        )
    for path in left_in_image(plan):
        yield f"Data below {path} stays in the container: such a name cannot be a volume's place."
