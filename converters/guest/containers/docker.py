"""Containers of Docker Engine: ``config.v2.json`` and ``hostconfig.json`` below its data root."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from converters.guest.containers.json_text import items, parse, table, word
from converters.guest.containers.values import Engine, ExistingContainer
from converters.guest.files import GuestFiles

_SETTINGS = "/etc/docker/daemon.json"
_ROOT = "/var/lib/docker"
_CONFIG = re.compile(r"([0-9a-f]{64})/config(?:\.v2)?\.json")
_MOST_ENTRIES = 50_000
_MOST = 500
_COMPOSE = "com.docker.compose."


def docker_containers(files: GuestFiles) -> Iterator[ExistingContainer]:
    """Every container, those that had ended too: Docker keeps them until somebody removes them."""
    settings = table(parse(files.text(_SETTINGS) or ""))
    root = word(settings.get("data-root")) or word(settings.get("graph")) or _ROOT
    folder = f"{root}/containers"
    found = 0
    for name, _ in files.some_below(folder, _MOST_ENTRIES):
        config = _CONFIG.fullmatch(name)
        if config is None:
            continue
        found += 1
        if found > _MOST:
            files.note(f"{folder}: more than {_MOST} containers; the rest was passed over.")
            return
        path = f"{folder}/{name}"
        value = parse(files.text(path) or "")
        host = parse(files.text(f"{folder}/{config[1]}/hostconfig.json") or "")
        if isinstance(value, dict):
            yield _container(config[1], path, value, table(host) or table(value, "HostConfig"))
        else:
            files.note(f"{path} is damaged: one container of Docker is not known.")


def _container(id: str, path: str, value: Mapping[str, Any], host: Mapping[str, Any]) -> ExistingContainer:
    labels = table(value, "Config", "Labels")
    project = word(labels.get(f"{_COMPOSE}project"))
    folder = word(labels.get(f"{_COMPOSE}project.working_dir"))
    named = word(labels.get(f"{_COMPOSE}project.config_files")).split(",")
    return ExistingContainer(
        Engine.DOCKER,
        name=word(value.get("Name")).lstrip("/") or id[:12],
        image=word(table(value, "Config").get("Image")),
        source=path,
        running=table(value, "State").get("Running") is True,
        restart=word(table(host, "RestartPolicy").get("Name")),
        ports=tuple(_ports(table(host, "PortBindings"))),
        data=tuple(dict.fromkeys((*map(word, items(host.get("Binds"))), *_mounts(value)))),
        project=project,
        files=tuple(_absolute(folder, name.strip()) for name in named if name.strip()),
    )


def _ports(bindings: Mapping[str, Any]) -> Iterator[str]:
    for inner, outer in list(bindings.items())[:100]:
        for binding in items(outer):
            address, port = word(table(binding).get("HostIp")), word(table(binding).get("HostPort"))
            yield f"{address + ':' if address else ''}{port}:{word(inner)}"


def _mounts(value: Mapping[str, Any]) -> Iterator[str]:
    """Volumes by name; bind mounts are among ``Binds`` or here, by where the container was made."""
    for mount in list(table(value, "MountPoints").values())[:100]:
        source = word(table(mount).get("Name")) or word(table(mount).get("Source"))
        target = word(table(mount).get("Destination"))
        if source and target:
            yield f"{source}:{target}"


def _absolute(folder: str, name: str) -> str:
    return name if name.startswith("/") or not folder else f"{folder.rstrip('/')}/{name}"
