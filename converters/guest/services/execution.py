"""What systemd executes for a service: command, environment, user (systemd.service(5), systemd.exec(5))."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from converters.guest.accounts import Accounts
from converters.guest.environment_file import parse_environment_file
from converters.guest.files import GuestFiles
from converters.guest.services.sockets import NO
from converters.guest.services.unit_tree import Unit
from converters.guest.services.words import (
    expand_specifiers,
    expand_variables,
    split_words,
    system_specifiers,
    unit_specifiers,
)

_PREFIXES = "@-:+!|"
_DYNAMIC_UID = "61184"
"""The first number that systemd gives dynamic users (systemd.exec(5), ``DynamicUser=``)."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command line of an ``Exec*=`` setting."""

    words: tuple[str, ...]
    """Program and arguments, variables and specifiers expanded."""
    as_root: bool = False
    """Whether ``User=`` does not hold for it."""
    may_fail: bool = False
    """Whether a failure is passed over."""
    name: str = ""
    """``argv[0]`` where it is not the program."""


@dataclass(frozen=True, slots=True)
class Execution:
    """How a service is executed."""

    type: str
    """``Type=`` with its default worked out."""
    commands: tuple[Command, ...]
    user: str
    group: str
    working_directory: str
    environment: tuple[tuple[str, str], ...]
    """All that the service sees, what the service manager sets included."""
    stop_signal: str
    notes: tuple[str, ...]


class Executions:
    """Reads service units of one guest."""

    def __init__(
        self,
        files: GuestFiles,
        accounts: Accounts,
        hostname: str,
        manager_environment: Mapping[str, str],
    ) -> None:
        self._files = files
        self._accounts = accounts
        self._hostname = hostname
        self._manager = manager_environment

    def read(self, unit: Unit) -> Execution:
        """How the service ``unit`` is executed, as far as its files tell."""
        notes: list[str] = []
        specifiers = self.specifiers(unit)
        settings = unit.settings
        user, group = self._identity(unit, specifiers, notes)
        environment = {
            **self._manager,
            **self._user_variables(user),
            **self._environment(unit, specifiers, notes),
        }
        commands = self.commands(unit, "ExecStart", environment)
        for key in ("RootDirectory", "RootImage"):
            if value := settings.last("Service", key):
                notes.append(
                    f"It runs inside {key}={value}: its files are looked for in the guest's own tree."
                )
        return Execution(
            type=_type(unit, bool(commands)),
            commands=commands,
            user=user,
            group=group,
            working_directory=self._working_directory(unit, specifiers, user),
            environment=tuple(environment.items()),
            stop_signal=_signal(settings.last("Service", "KillSignal", "SIGTERM")),
            notes=tuple(notes),
        )

    def commands(self, unit: Unit, key: str, environment: Mapping[str, str]) -> tuple[Command, ...]:
        """The command lines of one ``Exec*=`` setting."""
        specifiers = self.specifiers(unit)
        lines = unit.settings.all("Service", key)
        found = (command for line in lines for command in _commands(line, specifiers, environment))
        # Not documented any more, and still done: only ExecStart= is run as the user then (systemd.service(5)
        # of version 230, `PermissionsStartOnly=`). MariaDB makes its directory below /run so.
        if key == "ExecStart" or unit.settings.last("Service", "PermissionsStartOnly", "no") in NO:
            return tuple(found)
        return tuple(replace(command, as_root=True) for command in found)

    def specifiers(self, unit: Unit) -> Mapping[str, str]:
        """What the percent signs in a unit's values stand for."""
        system = system_specifiers(unit.path, self._hostname, self._accounts.home("root"))
        return {**system, **unit_specifiers(unit.name)}

    def _identity(self, unit: Unit, specifiers: Mapping[str, str], notes: list[str]) -> tuple[str, str]:
        """User and group; the group is empty where it is the user's own anyway."""
        user = expand_specifiers(unit.settings.last("Service", "User"), specifiers)
        group = expand_specifiers(unit.settings.last("Service", "Group"), specifiers)
        known = self._accounts.uid(user) is not None
        if unit.settings.last("Service", "DynamicUser", "no") not in NO and not known:
            notes.append(f"DynamicUser=: it runs as user {_DYNAMIC_UID}, a number that no other user has.")
            return _DYNAMIC_UID, _DYNAMIC_UID
        if user and not known:
            notes.append(f"Its user {user} is not in the guest's /etc/passwd: create it, or name a number.")
        own = group and self._accounts.gid(group) == self._accounts.primary_gid(user)
        return user, "" if own else group

    def _user_variables(self, user: str) -> dict[str, str]:
        found = self._accounts.users.get(user)
        if found is None:
            return {}
        return {"USER": found.name, "LOGNAME": found.name, "HOME": found.home, "SHELL": found.shell}

    def _environment(self, unit: Unit, specifiers: Mapping[str, str], notes: list[str]) -> dict[str, str]:
        """``Environment=``, then what its files say, which wins (systemd.exec(5), ``EnvironmentFile=``)."""
        environment: dict[str, str] = {}
        for line in unit.settings.all("Service", "Environment"):
            for word in split_words(line):
                name, equals, value = expand_specifiers(word, specifiers).partition("=")
                if equals:
                    environment[name] = value
        for written in unit.settings.all("Service", "EnvironmentFile"):
            path = expand_specifiers(written.removeprefix("-"), specifiers)
            text = self._files.text(path)
            if text is not None:
                environment.update(parse_environment_file(text))
            elif not written.startswith("-"):
                notes.append(f"Its EnvironmentFile={path} is not there.")
        return environment

    def _working_directory(self, unit: Unit, specifiers: Mapping[str, str], user: str) -> str:
        written = unit.settings.last("Service", "WorkingDirectory").removeprefix("-")
        if written == "~":
            return self._accounts.home(user or "root")
        return expand_specifiers(written, specifiers)


def _type(unit: Unit, has_command: bool) -> str:
    default = "simple" if has_command else "oneshot"
    if unit.settings.last("Service", "BusName"):
        default = "dbus"
    return unit.settings.last("Service", "Type", default)


def _signal(written: str) -> str:
    """A signal's name with ``SIG``, or its number, as OCI's ``StopSignal`` has it."""
    return written if written.startswith("SIG") or written.isdecimal() else f"SIG{written}"


def _commands(line: str, specifiers: Mapping[str, str], environment: Mapping[str, str]) -> list[Command]:
    """The commands of one line; a semicolon of its own separates them, an escaped one is an argument."""
    commands: list[Command] = []
    words: list[str] = []
    for word in [*split_words(line), ";"]:
        if word != ";":
            words.append(word.removeprefix("\\") if word == "\\;" else word)
        elif words:
            commands.append(_command(words, specifiers, environment))
            words = []
    return commands


def _command(words: list[str], specifiers: Mapping[str, str], environment: Mapping[str, str]) -> Command:
    program = words[0].lstrip(_PREFIXES)
    prefixes = words[0][: len(words[0]) - len(program)]
    arguments = [expand_specifiers(word, specifiers) for word in words[1:]]
    name = ""
    if "@" in prefixes:
        name, *arguments = arguments or [""]
    if ":" not in prefixes:
        arguments = expand_variables(arguments, environment)
    program = expand_specifiers(program, specifiers)
    return Command((program, *arguments), _as_root(prefixes), may_fail="-" in prefixes, name=name)


def _as_root(prefixes: str) -> bool:
    """``+`` and ``!`` set ``User=`` aside; ``!!`` does so only on kernels without ambient capabilities."""
    return "+" in prefixes or prefixes.count("!") == 1
