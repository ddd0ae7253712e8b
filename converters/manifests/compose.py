"""A compose file for one image (compose-spec): the image by digest, with the machine's resources."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from converters.guest.facts import DataDirectory
from converters.image.config import RunConfig
from converters.image.names import repository_names
from converters.init.specification import Specification
from converters.manifests.shared import shared_directories
from converters.manifests.yaml_text import comment, quoted
from converters.plan import MIB, ImagePlan
from converters.request import ServiceImage

_HOSTNAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,62}[A-Za-z0-9])?")
"""What fits into a container's host name (hostname(7), 64 bytes)."""

_RESTART = {"disabled": "no"}
"""``restart:`` by vSphere HA's restart priority; any other, or none: ``unless-stopped``, as HA would."""

_LONGEST_STOP = 3600.0
"""Seconds that stopping may take where the guest sets no limit; an engine wants one."""
_KILL_SECONDS = 5
"""For the init to end what did not end in time."""
_GIVEN = frozenset(
    f"CAP_{name}"
    for name in (
        *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE"),
        *("NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
    )
)
"""Capabilities that Docker gives every container (moby, oci/caps/defaults.go)."""

Line = tuple[int, str]
"""Depth and text."""


def compose(plan: ImagePlan, reference: str, services: Sequence[ServiceImage] = ()) -> str:
    """The compose file that runs a machine's images as the machine ran.

    One image gives the same text each time. Every text is quoted, so that no YAML reader takes a port or a
    version for a number, and every dollar sign is doubled, since compose replaces variables in values.

    Several services share one network, so that they find each other at localhost, and the directories below
    /run, where their sockets are. The network belongs to a container of the machine's own image, which does
    nothing: so each service can be started anew without the others losing it.

    Args:
        reference: the machine's own image by digest, ``host/name@sha256:…``; its last part names the project.
        services: the images of its services, in the same repository, where it has several.
    """
    repository = reference.partition("@")[0]
    name = repository.rpartition("/")[2].partition(":")[0]
    images = {service.name: f"{repository}@{service.digest}" for service in services}
    containers = (_machine(plan, name, reference), *_containers(plan, name, images))
    shared = shared_directories(plan) if len(containers) > 1 else ()
    lines = [
        (0, f"# Machine {comment(plan.name)}, {_what(plan, containers)}."),
        *((0, f"# {comment(note)}") for note in plan.notes),
        (0, f"name: {quoted(re.sub('[^a-z0-9_-]', '-', name))}"),
        (0, "services:"),
        *(line for container in containers for line in _service(plan, container, containers, shared)),
    ]
    volumes = [name for name, _ in _volumes(shared)]
    volumes += [_data_volume(container, one) for container in containers for one in container.data]
    if volumes:
        lines += [(0, "volumes:"), *((1, f"{quoted(name)}: {{}}") for name in sorted(volumes))]
    return "".join(f"{'  ' * depth}{text}\n" for depth, text in lines)


@dataclass(frozen=True, slots=True)
class _Container:
    """One container of the file."""

    key: str
    container_name: str
    image: str
    run: RunConfig
    service: str
    specification: Specification | None = None
    data: tuple[DataDirectory, ...] = ()


def _machine(plan: ImagePlan, name: str, reference: str) -> _Container:
    if plan.service and plan.services:
        (service,) = plan.services
        return _Container(name, name, reference, plan.run, plan.service, service.specification, service.data)
    return _Container(name, name, reference, plan.run, plan.service)


def _containers(plan: ImagePlan, name: str, images: Mapping[str, str]) -> Iterator[_Container]:
    keys = repository_names([(service.name, service.name) for service in plan.services])
    for service in plan.services:
        if service.name in images:
            key = keys[service.name]
            yield _Container(
                key,
                f"{name}-{key}",
                images[service.name],
                service.run,
                service.name,
                service.specification,
                service.data,
            )


def _what(plan: ImagePlan, containers: Sequence[_Container]) -> str:
    if len(containers) > 1:
        return f"services {comment(', '.join(container.service for container in containers[1:]))}"
    return f"service {comment(plan.service)}" if plan.service else "without a service to start"


def _service(
    plan: ImagePlan, container: _Container, containers: Sequence[_Container], shared: Sequence[str]
) -> Iterator[Line]:
    yield 1, f"{quoted(container.key)}:"
    for depth, text in _body(plan, container, containers, shared):
        yield depth + 2, text


def _body(
    plan: ImagePlan, container: _Container, containers: Sequence[_Container], shared: Sequence[str]
) -> Iterator[Line]:
    first = containers[0]
    yield 0, f"image: {_value(container.image)}"
    if plan.architecture:
        yield 0, f"platform: {_value(f'linux/{plan.architecture}')}"
    yield 0, f"container_name: {_value(container.container_name)}"
    if container is not first:
        yield 0, f"network_mode: {_value(f'service:{first.key}')}"
    elif _HOSTNAME.fullmatch(plan.hostname):
        yield 0, f"hostname: {_value(plan.hostname)}"
    yield from _restart(plan)
    if not container.service:
        yield 0, "# A terminal keeps the shell, and so the container, running."
        yield 0, "stdin_open: true"
        yield 0, "tty: true"
    yield from _resources(plan)
    yield from _around(container.specification)
    if container is first:
        # Whoever owns the network publishes the ports of all.
        ports = dict.fromkeys(port for one in containers for port in one.run.exposed_ports)
        yield from _list("ports", map(_published, ports))
    # A named volume that is new takes its content, owner and mode from the image.
    kept = [(_data_volume(container, one), one.path) for one in container.data]
    yield from _list("volumes", (f"{name}:{path}" for name, path in [*kept, *_volumes(shared)]))
    yield from _mapping("environment", container.run.env)
    yield from _mapping("labels", container.run.labels)


def _around(specification: Specification | None) -> Iterator[Line]:
    """What the engine has to give for what the init does."""
    if specification is None:
        return
    seconds = specification.stop_seconds or _LONGEST_STOP
    yield 0, f"stop_grace_period: {_value(f'{math.ceil(seconds) + _KILL_SECONDS}s')}"
    added = [name for name in specification.execution.ambient_capabilities if name not in _GIVEN]
    yield from _list("cap_add", (name.removeprefix("CAP_") for name in added))


def _volumes(paths: Iterable[str]) -> list[tuple[str, str]]:
    """Volumes for directories, by a name made of each path."""
    return [(re.sub(r"[^a-zA-Z0-9._-]", "-", path.strip("/")), path) for path in paths]


def _data_volume(container: _Container, data: DataDirectory) -> str:
    ((name, _),) = _volumes([data.path])
    return f"{container.key}-{name}"


def _restart(plan: ImagePlan) -> Iterator[Line]:
    priority = plan.resources.restart_priority
    if priority:
        yield 0, f"# vSphere HA restart priority: {comment(priority)}"
    yield 0, f"restart: {_value(_RESTART.get(priority, 'unless-stopped'))}"


def _resources(plan: ImagePlan) -> Iterator[Line]:
    resources = plan.resources
    if resources.cpus is not None:
        yield (
            0,
            "# The machine's processors, or its limit if lower; an engine refuses more than it has.",
        )
        yield 0, f"cpus: {resources.cpus:.3f}"
    if resources.memory_bytes is not None:
        yield 0, f"mem_limit: {quoted(_mebibytes(resources.memory_bytes))}"
    if resources.memory_reserved_bytes:
        yield 0, f"mem_reservation: {quoted(_mebibytes(resources.memory_reserved_bytes))}"


def _mebibytes(size: int) -> str:
    return f"{size // MIB}m"


def _published(port: str) -> str:
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
