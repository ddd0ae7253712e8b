"""The compose stack, started by an engine as its file says, service by service."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from docker.models.containers import Container

from deploy.demo.dockerd import Engine

NETWORK = "orchestrate-stack"
FILE = Path(__file__).parents[2] / "deploy/compose.yaml"
_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<kind>[-+?])(?P<word>[^}]*))?\}")


def compose_file(variables: Mapping[str, str]) -> dict[str, Any]:
    """The compose file with its variables replaced, as the Compose Specification says (interpolation).

    Raises:
        ValueError: a required variable is missing.
    """

    def value(found: re.Match[str]) -> str:
        name, kind, word = found["name"], found["kind"], found["word"] or ""
        set_to = variables.get(name, "")
        match kind:
            case "+":
                return word if set_to else ""
            case "-":
                return set_to or word
            case "?" if not set_to:
                raise ValueError(f"{name}: {word}")
            case _:
                return set_to

    document: dict[str, Any] = _replaced(yaml.safe_load(FILE.read_text()), value)
    return document


def _replaced(node: Any, value: Any) -> Any:
    match node:
        case str():
            return _VARIABLE.sub(value, node)
        case list():
            return [_replaced(item, value) for item in node]
        case dict():
            return {key: _replaced(item, value) for key, item in node.items()}
        case _:
            return node


class Stack:
    """Its services by name, each on a network where it is known by that name."""

    def __init__(self, engine: Engine, variables: Mapping[str, str], secrets: Path) -> None:
        """``secrets`` is the folder that stands for ``deploy/secrets``."""
        self._engine = engine
        self._document = compose_file(variables)
        self._secrets = secrets

    def start(self, service: str, **environment: str) -> Container:
        """Start one container of a service, with ``environment`` beside its own."""
        spec = self._document["services"][service]
        api = self._engine.client.api
        container = self._engine.client.containers.create(
            spec["image"],
            spec.get("command"),
            entrypoint=spec.get("entrypoint"),
            environment={**spec.get("environment", {}), **environment},
            read_only=spec.get("read_only", False),
            cap_drop=spec.get("cap_drop", []),
            security_opt=spec.get("security_opt", []),
            tmpfs=dict.fromkeys(spec.get("tmpfs", ()), ""),
            volumes=[
                *map(self._volume, spec.get("volumes", ())),
                *map(self._secret, spec.get("secrets", ())),
            ],
            network=NETWORK,
            networking_config={NETWORK: api.create_endpoint_config(aliases=[service])},
        )
        container.start()
        return container

    def address(self, container: Container) -> str:
        """A container's IP address, at which this machine reaches it."""
        container.reload()
        return str(container.attrs["NetworkSettings"]["Networks"][NETWORK]["IPAddress"])

    def _volume(self, volume: str) -> str:
        source, _, rest = volume.partition(":")
        return f"{FILE.parent / source}:{rest}" if source.startswith(".") else volume

    def _secret(self, name: str) -> str:
        file = Path(self._document["secrets"][name]["file"]).name
        return f"{self._secrets / file}:/run/secrets/{name}:ro"


@contextmanager
def network(engine: Engine) -> Iterator[str]:
    """The stack's network; gives this machine's address on it. What is on it at the end is removed."""
    made = engine.client.networks.create(NETWORK, driver="bridge")
    try:
        made.reload()
        yield made.attrs["IPAM"]["Config"][0]["Gateway"]
    finally:
        made.reload()
        for container in made.containers:
            container.remove(force=True)
        made.remove()
