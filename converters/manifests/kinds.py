"""The kinds of deployment files, by the names people use."""

from __future__ import annotations

from enum import StrEnum


class Manifest(StrEnum):
    """A deployment file for one machine."""

    COMPOSE = "compose"
    KUBERNETES = "kubernetes"
