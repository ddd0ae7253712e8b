"""How a service is started in a container: by plain OCI configuration where that is enough, else by the init.

The rules were found by experiment: which daemons run as the first process of a container, and what they miss
there. Pure: nothing here reads or writes.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace

from converters.guest.facts import Directory, Service
from converters.guest.ports import program_name
from converters.guest.services.specification import is_check
from converters.image.config import RunConfig
from converters.init.specification import Path, Specification

INIT = "/.orchestrate/init"
"""Where images have the static init."""
SERVICES = "/.orchestrate/services"
"""Where they have what it is told, a file a service."""
JOBS = "/.orchestrate/jobs"
"""The same for what runs by the clock."""

FIRST_PROCESSES = frozenset(
    {
        *("apache2", "haproxy", "httpd", "lighttpd", "memcached", "mosquitto", "nginx", "postgres"),
        "redis-server",
    }
)
"""Programs that are fine as the first process: they handle signals there, and reap what they start."""

_LONGEST_NAME = 200
_FILE_NAME = re.compile(r"[^A-Za-z0-9@._-]")


@dataclass(frozen=True, slots=True)
class Entrypoint:
    """What an image starts for one service."""

    run: RunConfig
    specification: Specification | None = None
    """What the init is told; None: the command is started by the engine itself."""
    reasons: tuple[str, ...] = ()
    """Why it takes the init, each a few words."""


def entrypoint(
    service: Service, directories: tuple[Directory, ...], also: tuple[str, ...] = ()
) -> Entrypoint | None:
    """How ``service`` is started; None where no command of it is known.

    Args:
        directories: what the guest makes below /run at each boot.
        also: reasons beside its own to start it by the init.
    """
    specification = service.specification
    reasons = (*_reasons(service, specification), *also) if specification is not None else ()
    if specification is None or not reasons:
        return Entrypoint(_plain(service)) if service.command else None
    made = {path.path for path in specification.paths}
    paths = [made_path(directory) for directory in directories if directory.path not in made]
    told = replace(specification, paths=(*paths, *specification.paths))
    path = f"{SERVICES}/{file_name(service.name)}"
    run = replace(_plain(service), entrypoint=(INIT, path), user="", working_dir="", stop_signal="SIGTERM")
    return Entrypoint(run, told, reasons)


def file_name(service: str) -> str:
    """The name of the file with a service's specification; services of one guest have names of their own."""
    safe = _FILE_NAME.sub("_", service)[:_LONGEST_NAME]
    if safe != service:
        safe += f"-{hashlib.sha256(service.encode()).hexdigest()[:8]}"
    return f"{safe}.json"


def _plain(service: Service) -> RunConfig:
    # A user without a group keeps all of its groups; naming one drops the others.
    user = f"{service.user}:{service.group}" if service.user and service.group else service.user
    return RunConfig(
        entrypoint=service.command,
        env=service.environment,
        user=user,
        working_dir=service.working_directory,
        exposed_ports=tuple(f"{port.number}/{port.protocol}" for port in service.ports if not port.loopback),
        stop_signal=service.stop_signal,
    )


def _reasons(service: Service, specification: Specification) -> tuple[str, ...]:
    """What plain OCI configuration cannot say of the service."""
    execution = specification.execution
    first = [command for command in specification.start_pre if not is_check(command)]
    found = (
        ("it goes to the background", not service.command or specification.type == "forking"),
        ("commands run before it", bool(first or specification.before)),
        (
            "commands run after it has started or stopped",
            bool(specification.start_post or specification.stop_post),
        ),
        ("a command stops it", bool(specification.stop)),
        ("sockets are opened for it", bool(specification.sockets)),
        ("directories are made for it at each start", bool(specification.paths)),
        ("it has capabilities that its user has not", bool(execution.ambient_capabilities)),
        ("it has groups of its own", bool(execution.supplementary_groups)),
        ("it has a umask of its own", execution.umask not in ("", "0022", "022")),
        (
            "nobody knows whether it can be a container's first process",
            program_name(service.command) not in FIRST_PROCESSES,
        ),
    )
    return tuple(reason for reason, holds in found if holds)


def made_path(directory: Directory) -> Path:
    """What the init is told to make of it."""
    return Path(
        "directory",
        directory.path,
        f"{directory.mode:04o}",
        user=str(directory.uid),
        group=str(directory.gid),
    )
