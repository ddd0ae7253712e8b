"""A compose file for one image (compose-spec): the image by digest, with the machine's resources."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from converters.manifests.yaml_text import comment, quoted
from converters.plan import MIB, ImagePlan

_HOSTNAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,62}[A-Za-z0-9])?")
"""What fits into a container's host name (hostname(7), 64 bytes)."""

_RESTART = {"disabled": "no"}
"""``restart:`` by vSphere HA's restart priority; any other, or none: ``unless-stopped``, as HA would."""

Line = tuple[int, str]
"""Depth and text."""


def compose(plan: ImagePlan, reference: str) -> str:
    """The compose file that runs an image as its machine ran.

    One image gives the same text each time. Every text is quoted, so that no YAML reader takes a port or a
    version for a number, and every dollar sign is doubled, since compose replaces variables in values.

    Args:
        reference: the image by digest, ``host/name@sha256:…``; its last part names the service and project.
    """
    name = reference.partition("@")[0].rpartition("/")[2].partition(":")[0]
    lines = [
        (0, f"# Machine {comment(plan.name)}, {_what(plan)}."),
        *((0, f"# {comment(note)}") for note in plan.notes),
        (0, f"name: {quoted(re.sub('[^a-z0-9_-]', '-', name))}"),
        (0, "services:"),
        (1, f"{quoted(name)}:"),
        *((depth + 2, text) for depth, text in _service(plan, name, reference)),
    ]
    return "".join(f"{'  ' * depth}{text}\n" for depth, text in lines)


def _what(plan: ImagePlan) -> str:
    return f"service {comment(plan.service)}" if plan.service else "without a service to start"


def _service(plan: ImagePlan, name: str, reference: str) -> Iterator[Line]:
    yield 0, f"image: {_value(reference)}"
    if plan.architecture:
        yield 0, f"platform: {_value(f'linux/{plan.architecture}')}"
    yield 0, f"container_name: {_value(name)}"
    if _HOSTNAME.fullmatch(plan.hostname):
        yield 0, f"hostname: {_value(plan.hostname)}"
    yield from _restart(plan)
    if not plan.service:
        yield 0, "# A terminal keeps the shell, and so the container, running."
        yield 0, "stdin_open: true"
        yield 0, "tty: true"
    yield from _resources(plan)
    yield from _list("ports", (_published(port) for port in plan.run.exposed_ports))
    yield from _mapping("environment", plan.run.env)
    yield from _mapping("labels", plan.run.labels)


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
