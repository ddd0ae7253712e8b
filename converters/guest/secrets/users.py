"""Which services use a file: by their command lines and variables, and by whose configuration it is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from converters.guest.accounts import Accounts
from converters.guest.facts import Role, Service
from converters.guest.ports import program_name
from converters.guest.secrets.places import ALIASES

_NAME = re.compile(r"[A-Za-z]{2,40}")


class Users:
    """Tells who uses a file of a guest."""

    def __init__(self, services: Sequence[Service], accounts: Accounts) -> None:
        applications = [service for service in services if service.role is Role.APPLICATION]
        self._services = {service.name: _Traces(service, accounts) for service in applications}
        self._naming: dict[str, list[str]] = {}

    def named(self, path: str, configuration: str) -> None:
        """A configuration file names the path."""
        self._naming.setdefault(path, []).append(configuration)

    def of(self, path: str) -> Iterable[str]:
        """Names of the services that use the file, as far as is known."""
        files = [path, *self._naming.get(path, ())[:20]]
        return [name for name, traces in self._services.items() if any(map(traces.lead_to, files))]


class _Traces:
    """What leads from a service to its files."""

    def __init__(self, service: Service, accounts: Accounts) -> None:
        told = service.specification
        commands = (
            [service.command, *(command.words for command in told.start)] if told else [service.command]
        )
        self._text = "\n".join(
            (*(word for words in commands for word in words), *(value for _, value in service.environment))
        )
        self._etc = set(_etc_names(service))
        self._home = accounts.home(service.user).rstrip("/") if service.user else ""
        self._folder = service.working_directory.rstrip("/")

    def lead_to(self, path: str) -> bool:
        """Whether the service uses the file."""
        if path.startswith("/etc/") and path.split("/")[2] in self._etc:
            return True
        if any(len(folder) > 1 and path.startswith(f"{folder}/") for folder in (self._home, self._folder)):
            return True
        return path in self._text


def _etc_names(service: Service) -> Iterator[str]:
    """Names in /etc that are a service's: its program's, its unit's, and what its command line names."""
    program = program_name(service.command)
    yield from (program, *ALIASES.get(program, ()))
    stem = _NAME.match(service.name)
    if stem:
        yield from (stem[0], f"{stem[0]}.env", f"{stem[0]}.conf")
    for word in service.command:
        yield from re.findall(r"/etc/([\w.-]{1,100})", word)
