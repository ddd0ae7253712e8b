"""The services a guest starts at boot: one module for each kind of init."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from converters.guest.accounts import Accounts
from converters.guest.facts import Directory, Role, Service
from converters.guest.files import GuestFiles, printable
from converters.guest.services.inetd import find_inetd_services
from converters.guest.services.openrc import find_openrc_services
from converters.guest.services.runtime import runtime_directories
from converters.guest.services.secure_shell import beyond_logins
from converters.guest.services.supervised import find_supervised_services
from converters.guest.services.systemd import Boot, systemd_boot
from converters.guest.services.sysv import find_sysv_services
from converters.guest.services.upstart import find_upstart_services

_SECURE_SHELLS = ("ssh", "sshd")
_CONTAINER_CLIENTS = (
    "docker",
    "docker-compose",
    "podman",
    "podman-compose",
    "nerdctl",
    "crictl",
    "ctr",
    "runc",
    "crun",
)
_SUPERVISORS = (
    "supervisor",
    "supervisord",
    "inetd",
    "openbsd-inetd",
    "inetutils-inetd",
    "xinetd",
    "runit",
    "runsvdir",
)


@dataclass(frozen=True, slots=True)
class Started:
    """What the guest's init starts."""

    services: tuple[Service, ...] = ()
    directories: tuple[Directory, ...] = ()
    """Made for the services first."""
    boot: Boot | None = None
    """Under systemd."""


def find_services(
    init: str, files: GuestFiles, accounts: Accounts, hostname: str, environment: Mapping[str, str]
) -> Started:
    """The services that a boot starts: those of ``init``, and those that other supervisors keep running.

    Args:
        init: as in ``GuestFacts.init``.
        environment: what the service manager gives every service.
    """
    started = _by_init(init, files, accounts, hostname, environment)
    started = replace(started, services=tuple(_looked_at(files, accounts, started.services)))
    more = (*find_supervised_services(files, accounts), *find_inetd_services(files, accounts))
    if not more:
        return started
    found = {service.name: _in_its_place(service) for service in started.services}
    for service in more:
        found.setdefault(service.name, service)
    return replace(started, services=tuple(found.values()))


def _looked_at(files: GuestFiles, accounts: Accounts, services: Iterable[Service]) -> Iterator[Service]:
    """Services whose role hangs on more than their names."""
    for service in services:
        program = service.command[0].rpartition("/")[2] if service.command else ""
        if service.name in _SECURE_SHELLS and (reasons := beyond_logins(files, accounts)):
            reason = f"serves more than log-ins: {'; '.join(reasons)}"
            yield replace(service, role=Role.APPLICATION, reason=printable(reason))
        elif service.role is Role.APPLICATION and program in _CONTAINER_CLIENTS:
            reason = f"starts a container with {program}, which is to be started from its own image"
            yield replace(service, role=Role.PLATFORM, reason=reason)
        else:
            yield service


def _in_its_place(service: Service) -> Service:
    """A supervisor whose programs are services of their own is not needed for them."""
    if service.name.rpartition("/")[2] not in _SUPERVISORS:
        return service
    return replace(service, role=Role.PLATFORM, reason="starts other services, which are listed on their own")


def _by_init(
    init: str, files: GuestFiles, accounts: Accounts, hostname: str, environment: Mapping[str, str]
) -> Started:
    match init:
        case "systemd":
            boot = systemd_boot(files, accounts, hostname, environment)
            return Started(boot.services, runtime_directories(boot.units.values(), accounts), boot)
        case "sysv":
            return Started(find_sysv_services(files))
        case "upstart":
            jobs = find_upstart_services(files, accounts)
            scripts = (one for one in find_sysv_services(files) if one.name not in {job.name for job in jobs})
            return Started((*jobs, *scripts))
        case "openrc":
            return Started(find_openrc_services(files, accounts))
        case _:
            files.note(f"Services of the init system {init or '(none found)'} are not known.")
            return Started()
