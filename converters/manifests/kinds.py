"""The kinds of deployment files, by the names people use."""

from __future__ import annotations

from enum import StrEnum


class Manifest(StrEnum):
    """Deployment files for one machine."""

    COMPOSE = "compose"
    KUBERNETES = "kubernetes"
    QUADLET = "quadlet"
    RUN = "run"
    FLEET = "fleet"
    FIG = "fig"
