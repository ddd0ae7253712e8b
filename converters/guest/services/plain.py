"""A service from a command line, whichever init's file holds it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from converters.guest.accounts import Accounts
from converters.guest.data import data_directories
from converters.guest.facts import Role, Service
from converters.guest.files import GuestFiles, printable
from converters.guest.identity import SERVICE_PATH
from converters.guest.ports import service_ports
from converters.guest.services.foreground import Foreground, foreground
from converters.guest.services.roles import own_rule
from converters.init.specification import Command, Execution, Specification


@dataclass(frozen=True, slots=True)
class Plain:
    """What an init's file says of a service."""

    name: str
    path: str
    """Of the file that says it."""
    words: tuple[str, ...]
    """Command line; empty when the file holds a script, or none."""
    kind: str
    """What it is called by: ``a job of upstart``."""
    before: str = ""
    """A shell script that runs first."""
    forks: bool = False
    """Whether the command goes to the background."""
    user: str = ""
    group: str = ""
    working_directory: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = ""
    notes: tuple[str, ...] = ()


def plain_service(files: GuestFiles, accounts: Accounts, plain: Plain, reason: str = "") -> Service:
    """The service, with the ports of its program.

    Args:
        reason: why it is the machine's own, where the name does not tell.
    """
    rule = own_rule(plain.name)
    role = Role.PLATFORM if reason else rule.role if rule else Role.APPLICATION
    reason = reason or (rule.reason if rule else f"{plain.kind} that is not one of the machine's own")
    found = foreground(files, plain.words) if plain.forks and plain.words else Foreground(plain.words)
    environment = {"PATH": SERVICE_PATH, **plain.environment}
    notes = plain.notes
    if plain.user and accounts.uid(plain.user) is None:
        notes = (
            *notes,
            f"Its user {plain.user} is not in the guest's /etc/passwd: create it, or name a number.",
        )
    return Service(
        name=printable(plain.name),
        unit=printable(plain.path),
        role=role,
        reason=reason,
        command=tuple(printable(word) for word in found.words),
        user=found.user or printable(plain.user),
        group=printable(plain.group),
        working_directory=printable(plain.working_directory),
        environment=tuple((printable(name), printable(value)) for name, value in environment.items()),
        stop_signal=found.stop_signal or plain.stop_signal or "SIGTERM",
        ports=service_ports(files, found.words, environment),
        notes=(*notes, *(() if plain.words else found.notes)),
        data=data_directories(files, found.words),
        specification=None if not plain.words else _specification(plain, found),
    )


def _specification(plain: Plain, found: Foreground) -> Specification:
    """The command in front where it stays there; else the init follows what it leaves behind."""
    forks = plain.forks and not found.words
    return Specification(
        printable(plain.name),
        "forking" if forks else "simple",
        start=(Command(tuple(map(printable, plain.words if forks else found.words))),),
        start_pre=(Command(shell_words(printable(plain.before))),) if plain.before else (),
        kill_signal=found.stop_signal or plain.stop_signal or "SIGTERM",
        execution=Execution(
            user=found.user or printable(plain.user),
            group=printable(plain.group),
            working_directory=printable(plain.working_directory),
        ),
    )


def shell_words(script: str) -> tuple[str, ...]:
    """A shell that runs a script."""
    return ("/bin/sh", "-c", script)


def split_line(line: str) -> tuple[str, ...]:
    """The words of a command line as a shell takes it apart; none where a quote or an escape has no end."""
    try:
        return tuple(shlex.split(line))
    except ValueError:
        return ()
