"""What is known of modules, kernel parameters and services: tables of ``known.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("known.toml")


class Use(StrEnum):
    """Who needs a module of a guest."""

    MACHINE = "machine"
    """The VM's own hardware and mounts: no container."""
    HOST = "host"
    """Programs; they use the host's."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class KernelNeed:
    """What a service is known to need of the kernel."""

    modules: tuple[str, ...]
    devices: tuple[str, ...]
    syscalls: tuple[str, ...]
    """Those that engines refuse to an ordinary container."""
    reason: str


def use_of(module: str) -> Use:
    """Who needs a module, by its name with underscores."""
    for table in _known()["module"]:
        if _among(module, table["names"]):
            return Use(table["kind"])
    return Use.UNKNOWN


def required_sysctls() -> Mapping[str, str]:
    """Parameters of the whole host by name, with what happens without them."""
    required: Mapping[str, str] = _known()["sysctl"]["required"]
    return required


def need_of(service: str) -> KernelNeed | None:
    """What a service of that name (without ``.service``) is known to need; None where nothing is."""
    for table in _known()["service"]:
        if _among(service, table["services"]):
            return KernelNeed(
                tuple(table.get("modules", ())),
                tuple(table.get("devices", ())),
                tuple(table.get("syscalls", ())),
                table["reason"],
            )
    return None


def _among(name: str, patterns: list[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


@cache
def _known() -> Mapping[str, Any]:
    with TABLE.open("rb") as file:
        return tomllib.load(file)
