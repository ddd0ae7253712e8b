"""The services a guest under systemd starts at boot: a walk over its units from ``default.target``."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from converters.guest.accounts import Accounts
from converters.guest.data import data_directories
from converters.guest.facts import DataDirectory, Role, Service
from converters.guest.files import GuestFiles, printable
from converters.guest.ports import service_ports
from converters.guest.services.conditions import failing_condition
from converters.guest.services.exec_conditions import failing_program
from converters.guest.services.execution import Execution, Executions
from converters.guest.services.foreground import Foreground, foreground
from converters.guest.services.generators import generated_services, generated_wants
from converters.guest.services.not_kept import not_kept
from converters.guest.services.roles import own_rule
from converters.guest.services.sockets import NO, activated, socket_ports, sockets_by_service
from converters.guest.services.specification import Specifications, in_foreground
from converters.guest.services.sysv import script_service
from converters.guest.services.unit_tree import Unit, UnitTree
from converters.guest.services.words import (
    expand_specifiers,
    mount_names,
    split_words,
    unit_specifiers,
)
from converters.init.specification import Specification

_PULLS = ("Wants", "Requires", "BindsTo", "Upholds", "Sockets")
_ACTIVATORS = ("socket", "path")


@dataclass(frozen=True, slots=True)
class Boot:
    """What a boot under systemd starts."""

    services: tuple[Service, ...]
    """By name."""
    units: Mapping[str, Unit]
    """Every started unit by name, of all types."""
    tree: UnitTree
    executions: Executions


def systemd_boot(
    files: GuestFiles, accounts: Accounts, hostname: str, manager_environment: Mapping[str, str]
) -> Boot:
    """The services that boot starts, and the units they come from.

    A service behind a socket or path unit counts as started: somebody's first connection starts it. One
    behind a timer does not: it is a job.
    """
    tree = UnitTree(files)
    units = started_units(files, tree)
    executions = Executions(files, accounts, hostname, manager_environment)
    sockets = sockets_by_service(units)
    specifications = Specifications(executions, accounts, units)
    services = [
        _service(files, executions.read(unit), unit, sockets.get(unit.name.full, ()), specifications)
        for unit in units.values()
        if unit.name.type == "service"
        and not failing_condition(unit.settings, executions.specifiers(unit), files)
        and not failing_program(unit.settings, files)
    ]
    services += _for_each_connection(files, tree, executions, units, specifications)
    scripts = generated_services(files, tree)
    services += [script_service(files, name.removesuffix(".service"), path) for name, path in scripts.items()]
    services.sort(key=lambda service: service.name)
    return Boot(tuple(services), units, tree, executions)


def _for_each_connection(
    files: GuestFiles,
    tree: UnitTree,
    executions: Executions,
    units: Mapping[str, Unit],
    specifications: Specifications,
) -> Iterator[Service]:
    """Services of sockets that accept: each connection starts an instance of a template."""
    for socket in units.values():
        if socket.name.type != "socket" or not (name := activated(socket)).endswith("@.service"):
            continue
        template = tree.load(name)
        if template is not None:
            yield _service(
                files, executions.read(template), template, (socket,), specifications, socket.name.stem
            )


def started_units(files: GuestFiles, tree: UnitTree) -> dict[str, Unit]:
    """Every unit that a boot into ``default.target`` starts, by name; masked ones start nothing."""
    return boot(files, tree)[0]


def boot(files: GuestFiles, tree: UnitTree) -> tuple[dict[str, Unit], frozenset[str]]:
    """``started_units``, and all names that were asked for, those without a unit on the disk too."""
    generated = generated_wants(files, tree)
    found: dict[str, Unit] = {}
    waiting = deque(["default.target" if tree.exists("default.target") else "multi-user.target"])
    asked: set[str] = set()
    while waiting:
        name = waiting.popleft()
        if name in asked:
            continue
        asked.add(name)
        unit = tree.load(name)
        if unit is None or unit.name.full in found:
            continue
        found[unit.name.full] = unit
        waiting += _pulled(unit, tree)
        waiting += generated.get(unit.name.full, [])
    return found, frozenset(asked)


def _pulled(unit: Unit, tree: UnitTree) -> list[str]:
    names = [
        name
        for key in _PULLS
        for value in unit.settings.all("Service" if key == "Sockets" else "Unit", key)
        for name in split_words(value)
    ]
    for suffix in (".wants", ".requires", ".upholds"):
        names += tree.linked(unit, suffix)
    for key in ("RequiresMountsFor", "WantsMountsFor"):
        for value in unit.settings.all("Unit", key):
            names += [name for path in split_words(value) for name in mount_names(path)]
    if unit.name.type == "automount":
        names.append(f"{unit.name.stem}.mount")
    if unit.name.type in _ACTIVATORS and "@." not in (service := activated(unit)):
        names.append(service)
    elif unit.name.type == "service" and unit.settings.last("Unit", "DefaultDependencies", "yes") not in NO:
        names.append("sysinit.target")
    specifiers = unit_specifiers(unit.name)
    return [expand_specifiers(name, specifiers) for name in names]


def _service(
    files: GuestFiles,
    execution: Execution,
    unit: Unit,
    sockets: tuple[Unit, ...],
    specifications: Specifications,
    stem: str = "",
) -> Service:
    """The service of ``unit``, which ``stem`` names where the unit's own name does not."""
    name = printable(stem or unit.name.stem)
    rule = own_rule(unit.name.stem)
    reason = rule.reason if rule else _no_server(execution)
    role = rule.role if rule else Role.PLATFORM if reason else Role.APPLICATION
    found = _foreground(files, execution)
    ports = socket_ports(sockets) or service_ports(files, found.words, dict(execution.environment))
    specification = None
    if execution.commands:  # of the machine's own services too: a person may want one all the same
        specification = in_foreground(specifications.of(unit, execution, sockets), found)
    user = found.user or ("" if execution.commands and execution.commands[0].as_root else execution.user)
    return Service(
        name=name,
        unit=printable(unit.path),
        role=role,
        reason=reason or "stays up, and is none of the machine's own services",
        command=found.words,
        user=user,
        group=execution.group if user else "",
        working_directory=execution.working_directory,
        environment=execution.environment,
        stop_signal=found.stop_signal or execution.stop_signal,
        ports=ports,
        notes=(*execution.notes, *not_kept(name, unit.settings)),
        data=() if specification is None else _data(files, found.words, execution, specification),
        specification=specification,
    )


def _no_server(execution: Execution) -> str:
    """Why a unit is not something that stays up and serves; empty when it may be."""
    if not execution.commands:
        return "has no command to start"
    match execution.type:
        case "oneshot":
            return "does its work once and ends"
        case "dbus":
            return "answers on the machine's message bus only"
        case _:
            return ""


def _foreground(files: GuestFiles, execution: Execution) -> Foreground:
    if not execution.commands:
        return Foreground()
    words = execution.commands[0].words
    return foreground(files, words) if execution.type == "forking" else Foreground(words)


def _data(
    files: GuestFiles, words: tuple[str, ...], execution: Execution, specification: Specification
) -> tuple[DataDirectory, ...]:
    state = (path.path for path in specification.paths if path.path.startswith("/var/lib/"))
    return data_directories(
        files, words or (execution.commands[0].words if execution.commands else ()), state
    )
