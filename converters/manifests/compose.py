"""A compose file for one machine (compose-spec): images by digest, with the machine's resources."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from converters.manifests.describe import machine
from converters.manifests.machine import IDLE_STOP_SECONDS, Container, Machine, ScheduledJob
from converters.manifests.volumes import Volume
from converters.manifests.yaml_text import comment, mebibytes, quoted
from converters.plan import ImagePlan, Resources
from converters.request import ServiceImage

JOBS = "jobs"
"""The profile of what ran by the clock: nothing starts it but a person or a crontab."""

_RESTART = {"disabled": "no"}
"""``restart:`` by vSphere HA's restart priority; any other, or none: ``unless-stopped``, as HA would."""

Line = tuple[int, str]
"""Depth and text."""


def compose(plan: ImagePlan, reference: str, services: Sequence[ServiceImage] = ()) -> str:
    """The compose file that runs a machine's images as the machine ran; see ``machine`` for what is given."""
    return compose_text(machine(plan, reference, services))


def compose_text(described: Machine) -> str:
    """The compose file.

    One machine gives the same text each time. Every text is quoted, so that no YAML reader takes a port or a
    version for a number, and every dollar sign is doubled, since compose replaces variables in values.

    The network that several services share belongs to a container of the machine's own image, which does
    nothing: so each service can be started anew without the others losing it.
    """
    lines = [
        (0, f"# Machine {comment(described.title)}, {comment(described.summary)}."),
        *((0, f"# {comment(note)}") for note in described.notes),
        (0, f"name: {quoted(described.name)}"),
        (0, "services:"),
        *_services(described),
    ]
    if described.secrets:
        lines.append((0, "secrets:"))
        for name in described.secrets:
            lines += [(1, f"{quoted(name)}:"), (2, f"file: {_value(f'./{described.secrets_folder}/{name}')}")]
    if described.volumes:
        lines += [(0, "volumes:"), *((1, f"{quoted(one.name)}: {{}}") for one in described.volumes)]
    return "".join(f"{'  ' * depth}{text}\n" for depth, text in lines)


def _services(described: Machine) -> Iterator[Line]:
    if described.alone:
        yield from _named(described.name, _alone(described, described.containers[0]))
    else:
        yield from _named(described.name, _owner(described))
        for container in described.containers:
            yield from _named(container.key, _joined(described, container))
    for job in described.jobs:
        yield from _named(job.key, _job(described, job))


def _named(key: str, body: Iterable[Line]) -> Iterator[Line]:
    yield 1, f"{quoted(key)}:"
    for depth, text in body:
        yield depth + 2, text


def _alone(described: Machine, container: Container) -> Iterator[Line]:
    yield from _image(described, container.image, described.name)
    yield from _network(described)
    yield from _restart(described)
    if not container.service:
        yield from _terminal()
    yield from _resources(container.resources or described.resources)
    yield from _running(container)
    yield from _secrets(container)
    yield from _mounts(described.volumes)
    yield from _mapping("environment", container.environment)
    yield from _mapping("labels", container.run.labels)


def _owner(described: Machine) -> Iterator[Line]:
    """The container that has the network; every volume is in it, for a person who looks around."""
    yield from _image(described, described.image, described.name)
    yield from _network(described)
    yield from _restart(described)
    yield from _list("entrypoint", described.idle)
    yield from _terminal()
    yield 0, f"stop_grace_period: {_value(f'{IDLE_STOP_SECONDS}s')}"
    yield from _resources(described.resources)
    yield from _mounts(described.volumes)
    yield from _mapping("labels", described.labels)


def _joined(described: Machine, container: Container) -> Iterator[Line]:
    yield from _image(described, container.image, f"{described.name}.{container.key}")
    yield 0, f"network_mode: {_value(f'service:{described.name}')}"
    yield from _restart(described)
    yield from _resources(container.resources or described.resources)
    yield from _running(container)
    yield from _secrets(container)
    yield from _mounts(container.volumes)
    yield from _mapping("environment", container.environment)
    yield from _mapping("labels", container.run.labels)


def _job(described: Machine, job: ScheduledJob) -> Iterator[Line]:
    zone = f" ({job.timezone})" if job.timezone else ""
    when = "at boot" if job.at_boot else f"{job.schedule}{zone}" if job.schedule else "by the clock"
    command = " ".join(("docker", "compose", "run", "--rm", job.key))
    yield 0, f"# It ran {comment(when)}: {command}"
    yield 0, f"profiles: [{quoted(JOBS)}]"
    yield 0, f"image: {_value(described.image)}"
    if described.architecture:
        yield 0, f"platform: {_value(f'linux/{described.architecture}')}"
    yield 0, f"network_mode: {_value(f'service:{described.name}')}"
    yield 0, f"user: {quoted('0:0')}"
    yield from _list("entrypoint", job.command)
    yield from _mounts(described.volumes)


def _image(described: Machine, image: str, container_name: str) -> Iterator[Line]:
    yield 0, f"image: {_value(image)}"
    if described.architecture:
        yield 0, f"platform: {_value(f'linux/{described.architecture}')}"
    yield 0, f"container_name: {_value(container_name)}"


def _network(described: Machine) -> Iterator[Line]:
    """What belongs to whoever has the network: its name, the names it knows, the ports of all containers."""
    if described.host_network:
        yield 0, f"network_mode: {quoted('host')}"
    if described.hostname:
        yield 0, f"hostname: {_value(described.hostname)}"
    yield from _list("extra_hosts", (f"{name}:{address}" for name, address in described.hosts))
    yield from _mapping("sysctls", described.engine_sysctls)
    if not described.host_network:
        yield from _list("ports", map(published, described.ports))


def _terminal() -> Iterator[Line]:
    yield 0, "# A terminal keeps the shell, and so the container, running."
    yield 0, "stdin_open: true"
    yield 0, "tty: true"


def _running(container: Container) -> Iterator[Line]:
    """What the engine has to give a service, and how it tells that the service is there."""
    yield 0, f"stop_grace_period: {_value(f'{container.stop_seconds}s')}"
    yield from _privilege(container)
    if container.check:
        yield 0, "healthcheck:"
        yield 1, f"test: [{', '.join(map(_value, ('CMD', *container.check)))}]"
        yield 1, f"interval: {quoted(f'{container.check_seconds}s')}"
        yield 1, f"timeout: {quoted('10s')}"
        yield 1, f"start_period: {quoted(f'{container.start_seconds}s')}"


def _secrets(container: Container) -> Iterator[Line]:
    if container.secrets:
        yield 0, "secrets:"
    for secret in container.secrets:
        yield 1, f"- source: {_value(secret.name)}"
        yield 1, f"  target: {_value(secret.source)}"


def _privilege(container: Container) -> Iterator[Line]:
    given = container.privilege
    if given is not None and given.privileged:
        yield 0, "privileged: true"
        return
    if given is not None:
        yield from _list("cap_drop", ["ALL"])
        if given.no_new_privileges:
            yield from _list("security_opt", ["no-new-privileges:true"])
        yield from _list("devices", (f"{device}:{device}" for device in given.devices))
    yield from _list("cap_add", container.added_capabilities)


def _restart(described: Machine) -> Iterator[Line]:
    priority = described.resources.restart_priority
    if priority:
        yield 0, f"# vSphere HA restart priority: {comment(priority)}"
    yield 0, f"restart: {_value(_RESTART.get(priority, 'unless-stopped'))}"


def _resources(resources: Resources) -> Iterator[Line]:
    if resources.cpus is not None:
        yield 0, "# The machine's processors, or its limit if lower; an engine refuses more than it has."
        yield 0, f"cpus: {resources.cpus:.3f}"
    if resources.cpu_weight:
        yield 0, f"cpu_shares: {resources.cpu_weight}"
    if resources.memory_bytes is not None:
        yield 0, f"mem_limit: {quoted(mebibytes(resources.memory_bytes))}"
    if resources.memory_reserved_bytes:
        yield 0, f"mem_reservation: {quoted(mebibytes(resources.memory_reserved_bytes))}"


def _mounts(volumes: Iterable[Volume]) -> Iterator[Line]:
    # A named volume that is new takes its content, owner and mode from the image.
    return _list("volumes", (f"{volume.name}:{volume.path}" for volume in volumes))


def published(port: str) -> str:
    """``80:80`` for ``80/tcp``, ``53:53/udp`` for ``53/udp``."""
    number, _, protocol = port.partition("/")
    return f"{number}:{number}" if protocol == "tcp" else f"{number}:{number}/{protocol}"


def _list(key: str, values: Iterable[str]) -> Iterator[Line]:
    items = [(1, f"- {_value(value)}") for value in values]
    if items:
        yield from [(0, f"{key}:"), *items]


def _mapping(key: str, pairs: Iterable[tuple[str, str]]) -> Iterator[Line]:
    items = [(1, f"{quoted(name)}: {_value(value)}") for name, value in sorted(dict(pairs).items())]
    if items:
        yield from [(0, f"{key}:"), *items]


def _value(text: str) -> str:
    """A quoted value; compose's interpolation reads ``$$`` as one dollar sign."""
    return quoted(text.replace("$", "$$"))
