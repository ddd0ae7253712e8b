"""Starts the containers of a compose file in an engine, as ``docker compose up`` does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from docker.models.containers import Container

from deploy.demo.dockerd import Engine

_WORDS = {
    "container_name": "name",
    "cpus": "nano_cpus",
    **{
        key: key for key in ("cap_add", "environment", "hostname", "image", "labels", "mem_limit", "platform")
    },
    **{key: key for key in ("stdin_open", "tty", "volumes", "network_mode", "cpu_shares", "extra_hosts")},
    **{key: key for key in ("cap_drop", "security_opt", "devices", "sysctls", "privileged")},
}
_NOT_STARTED = ("secrets", "ports", "restart", "stop_grace_period", "healthcheck")
"""Ports are asked inside the bridge, and a container that ends shall stay ended."""


@contextmanager
def up(engine: Engine, document: Mapping[str, Any], folder: Path = Path()) -> Iterator[dict[str, Container]]:
    """The containers of a compose file by service; removed, with their volumes, when the block ends.

    Args:
        folder: where the file would be, for the secrets beside it.
    """
    files = {name: str(folder / one["file"]) for name, one in document.get("secrets", {}).items()}
    running: dict[str, Container] = {}
    try:
        for key, service in document["services"].items():
            if "profiles" in service:
                continue
            arguments = _arguments(service, running)
            secrets = [f"{files[one['source']]}:{one['target']}:ro" for one in service.get("secrets", ())]
            arguments["volumes"] = [*arguments.get("volumes", ()), *secrets]
            running[key] = engine.client.containers.run(detach=True, **arguments)
        yield running
    finally:
        for container in reversed(running.values()):
            container.remove(force=True, v=True)
        for name in document.get("volumes", {}):
            engine.client.volumes.get(name).remove()


def _arguments(service: Mapping[str, Any], running: Mapping[str, Container]) -> dict[str, Any]:
    """What the engine is told; a key that this does not know is an error."""
    arguments = {_WORDS[key]: value for key, value in service.items() if key not in _NOT_STARTED}
    if owner := service.get("network_mode"):
        arguments["network_mode"] = f"container:{running[owner.removeprefix('service:')].id}"
    if "cpus" in service:
        arguments["nano_cpus"] = round(service["cpus"] * 1_000_000_000)
    return arguments
