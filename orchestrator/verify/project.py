"""What a compose file says, in the words of the engine's API: the keys that our compose files have. Pure.

Published ports and restarts are left out: whoever verifies asks from inside, and what ends shall stay ended.
Source: the Compose specification (services, volumes, interpolation).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from orchestrator.verify.engine import VerifyError

_SAME = (
    *(
        "cap_add",
        "cap_drop",
        "cpu_shares",
        "devices",
        "domainname",
        "entrypoint",
        "environment",
        "group_add",
        "hostname",
    ),
    *("image", "init", "ipc_mode", "labels", "mem_limit", "mem_reservation", "pids_limit", "platform"),
    *("privileged", "read_only", "security_opt", "shm_size", "stdin_open", "sysctls", "tty", "user"),
    *("userns_mode", "working_dir", "command", "stop_signal"),
)
"""Keys that the engine's API has by the same name."""
_LEFT_OUT = (
    *(
        "container_name",
        "depends_on",
        "deploy",
        "healthcheck",
        "network_mode",
        "networks",
        "ports",
        "profiles",
    ),
    *("restart", "stop_grace_period", "volumes", "cpus", "tmpfs", "extra_hosts", "secrets"),
    *("expose", "logging", "mem_swappiness", "pull_policy"),
)
"""Keys that are read below, or that say nothing here."""
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0}
_SPAN = re.compile(r"(\d+)(h|m|s)")
_MOST_SERVICES = 200
_STOP_SECONDS = 10


@dataclass(frozen=True, slots=True)
class ComposedService:
    """A service of the file that runs all the time."""

    key: str
    arguments: Mapping[str, Any]
    """Of the engine's API, without network and volumes."""
    shares_network_of: str
    """Key of another service; empty: it has its own."""
    isolated: bool
    """Without any network."""
    volumes: tuple[tuple[str, str, str], ...]
    """Name in the file, path and mode (``rw``, ``ro``)."""
    stop_seconds: int
    """What it may take to end."""
    secrets: tuple[tuple[str, str], ...] = ()
    """Path in the container, and the file beside the compose file that has it."""

    @property
    def image(self) -> str:
        """The image's reference."""
        return str(self.arguments["image"])


def read_project(text: str) -> tuple[ComposedService, ...]:
    """The services of a compose file, owners of networks first.

    Raises:
        VerifyError: it has a key of which this does not know what it means to the engine.
    """
    document = _unescaped(yaml.safe_load(text))
    services = [
        _service(key, body, document.get("secrets") or {})
        for key, body in document["services"].items()
        if not body.get("profiles")
    ]
    if len(services) > _MOST_SERVICES:
        raise VerifyError(f"{len(services)} services are more than are started at once ({_MOST_SERVICES})")
    return tuple(sorted(services, key=lambda service: bool(service.shares_network_of)))


def _service(key: str, body: Mapping[str, Any], secrets: Mapping[str, Any]) -> ComposedService:
    unknown = sorted(set(body) - {*_SAME, *_LEFT_OUT})
    if unknown:
        raise VerifyError(
            f"service {key} of the compose file has {', '.join(unknown)}, which this cannot start",
            "start it with `docker compose` and look at it by hand",
        )
    arguments = {name: value for name, value in body.items() if name in _SAME}
    if cpus := body.get("cpus"):
        arguments["nano_cpus"] = round(float(cpus) * 1_000_000_000)
    if temporary := body.get("tmpfs"):
        arguments["tmpfs"] = dict(_parted(one) for one in _listed(temporary))
    if hosts := body.get("extra_hosts"):
        arguments["extra_hosts"] = hosts if isinstance(hosts, dict) else dict(map(_host, hosts))
    mode = str(body.get("network_mode", ""))
    return ComposedService(
        key,
        arguments,
        shares_network_of=mode.removeprefix("service:") if mode.startswith("service:") else "",
        isolated=mode == "none",
        volumes=tuple(_volumes(key, body.get("volumes", ()))),
        stop_seconds=_seconds(str(body.get("stop_grace_period", ""))),
        secrets=tuple(
            (str(one["target"]), str(secrets[one["source"]]["file"])) for one in body.get("secrets", ())
        ),
    )


def _volumes(key: str, volumes: Sequence[Any]) -> Iterator[tuple[str, str, str]]:
    for volume in volumes:
        match volume:
            case str():
                name, _, rest = volume.partition(":")
                path, _, mode = rest.partition(":")
            case {"type": "volume", "source": str(name), "target": str(path)}:
                mode = "ro" if volume.get("read_only") else "rw"
            case _:
                raise VerifyError(f"service {key} of the compose file mounts {volume}, which is no volume")
        if not path or name.startswith((".", "/", "~")):
            raise VerifyError(f"service {key} of the compose file mounts {volume}, which is no volume")
        yield name, path, mode or "rw"


def _seconds(span: str) -> int:
    found = _SPAN.findall(span)
    return round(sum(int(number) * _SECONDS[unit] for number, unit in found)) if found else _STOP_SECONDS


def _parted(mount: str) -> tuple[str, str]:
    path, _, options = mount.partition(":")
    return path, options


def _host(entry: str) -> tuple[str, str]:
    name, _, address = entry.replace("=", ":", 1).partition(":")
    return name, address


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _unescaped(value: Any) -> Any:
    """Texts as compose gives them to the engine: ``$$`` is one dollar sign."""
    match value:
        case str():
            return value.replace("$$", "$")
        case dict():
            return {key: _unescaped(item) for key, item in value.items()}
        case list():
            return [_unescaped(item) for item in value]
        case _:
            return value
