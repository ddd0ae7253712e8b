"""``fig.yml`` for one machine, as fig 1.0 read it: the form before Compose had versions."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator

from converters.manifests.compose import published
from converters.manifests.engine_options import secret_binds
from converters.manifests.machine import Container, Machine
from converters.manifests.yaml_text import comment, quoted

_OWNER = "machine"
"""The service with the network and the volumes that all share."""
_UNSAID = (
    "fig has no words for: limits of processors, reserved memory, restarts, stop times, capabilities, health"
    " checks, names of volumes, hosts and what ran by the clock. The compose file has them."
)


def fig(machine: Machine) -> str:
    """The file; the same machine gives the same text each time.

    fig replaces no variables in values, so that dollar signs stand for themselves.
    """
    project = _name(machine.name)
    owner = quoted(_OWNER)
    head = [
        f"# Machine {comment(machine.title)}, {comment(machine.summary)}: fig -p {project} up",
        *(f"# {comment(note)}" for note in machine.notes),
        f"# {_UNSAID}",
        "# Images are named by digest, which Docker knows since 1.6.",
        "# docker-compose reads this file too, but takes every dollar sign in it for a variable's.",
    ]
    if machine.alone:
        paths = [volume.path for volume in machine.volumes]
        body = [*_service(_OWNER, _network(machine)), *_own(machine, machine.containers[0], paths)]
    else:
        body = [*_service(_OWNER, _network(machine)), *_image(machine, machine.image), *_terminal()]
        body += [f"  entrypoint: {quoted(program)}" for program in machine.idle]
        body += _list("volumes", (volume.path for volume in machine.volumes))
        for container in machine.containers:
            joined = [
                f"  net: {quoted(f'container:{project}_{_OWNER}_1')}",
                "  volumes_from:",
                f"    - {owner}",
            ]
            body += [*_service(_service_name(container.key), joined), *_own(machine, container)]
    return "".join(f"{line}\n" for line in (*head, *body))


def _service(name: str, settings: Iterable[str]) -> Iterator[str]:
    yield f"{quoted(name)}:"
    yield from settings


def _own(machine: Machine, container: Container, paths: Iterable[str] = ()) -> Iterator[str]:
    yield from _image(machine, container.image)
    if not container.service:
        yield from _terminal()
    yield from _list("volumes", (*paths, *secret_binds(container, f"./{machine.secrets_folder}")))
    if container.privilege is not None and container.privilege.privileged:
        yield "  privileged: true"
    if container.environment:
        yield "  environment:"
        for name, value in container.environment:
            yield f"    {quoted(name)}: {quoted(value)}"


def _image(machine: Machine, image: str) -> Iterator[str]:
    yield f"  image: {quoted(image)}"
    if machine.resources.memory_bytes is not None:
        yield f"  mem_limit: {machine.resources.memory_bytes}"


def _network(machine: Machine) -> Iterator[str]:
    if machine.hostname:
        yield f"  hostname: {quoted(machine.hostname)}"
    if machine.host_network:
        yield '  net: "host"'
    else:
        yield from _list("ports", map(published, machine.ports))


def _terminal() -> Iterator[str]:
    yield "  stdin_open: true"
    yield "  tty: true"


def _list(key: str, values: Iterable[str]) -> Iterator[str]:
    items = [f"    - {quoted(value)}" for value in values]
    if items:
        yield from [f"  {key}:", *items]


def _service_name(key: str) -> str:
    return _name(key if key != _OWNER else f"{key}-")


def _name(label: str) -> str:
    """A project's or service's name, of letters and digits alone."""
    plain = re.sub("[^a-z0-9]", "", label)
    return plain if plain == label else plain + hashlib.sha256(label.encode()).hexdigest()[:6]
