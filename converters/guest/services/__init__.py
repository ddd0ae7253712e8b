"""The services a guest starts at boot: one module for each kind of init."""

from __future__ import annotations

from collections.abc import Mapping

from converters.guest.accounts import Accounts
from converters.guest.facts import Directory, Service
from converters.guest.files import GuestFiles
from converters.guest.services.runtime import runtime_directories
from converters.guest.services.systemd import find_systemd_services
from converters.guest.services.sysv import find_sysv_services


def find_services(
    init: str, files: GuestFiles, accounts: Accounts, hostname: str, environment: Mapping[str, str]
) -> tuple[tuple[Service, ...], tuple[Directory, ...]]:
    """The services that ``init`` starts at boot, and the directories it makes for them first.

    Args:
        init: as in ``GuestFacts.init``.
        environment: what the service manager gives every service.
    """
    match init:
        case "systemd":
            services, units = find_systemd_services(files, accounts, hostname, environment)
            return services, runtime_directories(units, accounts)
        case "sysv":
            return find_sysv_services(files), ()
        case "upstart":
            files.note("Jobs of upstart (/etc/init/*.conf) were passed over; SysV scripts were looked at.")
            return find_sysv_services(files), ()
        case _:
            files.note(f"Services of the init system {init or '(none found)'} are not known.")
            return (), ()
