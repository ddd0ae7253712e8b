"""What services find in their environment, as ConfigMaps that a person can edit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from converters.manifests.machine import Container, Machine

_VARIABLE = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]{0,252}")
"""What Kubernetes takes for a variable's name."""
_LARGEST = 900_000
"""Bytes of a ConfigMap; etcd takes 1 MiB of an object."""


def config_maps(machine: Machine) -> Iterator[dict[str, Any]]:
    """One for each service that has variables. Images have them too: what is taken out here stays set."""
    for container in machine.containers:
        if found := variables(container):
            yield {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {
                    "name": environment_name(machine, container),
                    "labels": {"app.kubernetes.io/part-of": machine.name},
                },
                "data": found,
            }


def environment_name(machine: Machine, container: Container) -> str:
    """The name of a container's ConfigMap."""
    return f"{machine.name}-{container.key}-environment"


def variables(container: Container) -> dict[str, str]:
    """Those that Kubernetes can set; the others are in the image all the same."""
    found: dict[str, str] = {}
    size = 0
    for name, value in container.environment:
        more = len(name) + len(value.encode("utf-8", "surrogateescape"))
        if _VARIABLE.fullmatch(name) and size + more <= _LARGEST:
            found[name] = value
            size += more
    return found if container.service else {}
