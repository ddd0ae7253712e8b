"""The services a guest starts at boot: one module for each kind of init."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from converters.guest.accounts import Accounts
from converters.guest.facts import Directory, Service
from converters.guest.files import GuestFiles
from converters.guest.services.runtime import runtime_directories
from converters.guest.services.systemd import Boot, systemd_boot
from converters.guest.services.sysv import find_sysv_services


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
    """The services that ``init`` starts at boot, and what belongs to them.

    Args:
        init: as in ``GuestFacts.init``.
        environment: what the service manager gives every service.
    """
    match init:
        case "systemd":
            boot = systemd_boot(files, accounts, hostname, environment)
            return Started(boot.services, runtime_directories(boot.units.values(), accounts), boot)
        case "sysv":
            return Started(find_sysv_services(files))
        case "upstart":
            files.note("Jobs of upstart (/etc/init/*.conf) were passed over; SysV scripts were looked at.")
            return Started(find_sysv_services(files))
        case _:
            files.note(f"Services of the init system {init or '(none found)'} are not known.")
            return Started()
