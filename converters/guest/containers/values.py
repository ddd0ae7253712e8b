"""Containers on a guest as values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Engine(StrEnum):
    """Who runs containers on a guest."""

    DOCKER = "Docker"
    PODMAN = "podman"
    QUADLET = "Quadlet"
    """podman, started by systemd from a file (podman-systemd.unit(5))."""
    KUBERNETES = "Kubernetes"
    CONTAINERD = "containerd"


@dataclass(frozen=True, slots=True)
class ExistingContainer:
    """One container of a guest; what its engine does not say is empty."""

    engine: Engine
    name: str
    image: str
    """As whoever made it named it: ``nginx:1.25``."""
    source: str
    """The file of the guest that says so."""
    running: bool = False
    """Whether it ran when its engine last wrote."""
    restart: str = ""
    """``always``, ``unless-stopped``, ``on-failure``, ``no``."""
    ports: tuple[str, ...] = ()
    """``8080:80/tcp``: of the host, of the container."""
    data: tuple[str, ...] = ()
    """``/srv/www:/usr/share/nginx/html``: path of the host or name of a volume, path in the container."""
    project: str = ""
    """Of Docker Compose, or the namespace and pod of Kubernetes."""
    files: tuple[str, ...] = ()
    """The compose files it was made from."""
