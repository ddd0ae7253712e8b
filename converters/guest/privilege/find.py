"""What a service needs of the kernel and the host: from its unit, its program's file, what is known of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from converters.guest.accounts import Accounts
from converters.guest.facts import Service
from converters.guest.files import GuestFiles, printable
from converters.guest.ports import program_name
from converters.guest.ports.settings import configuration_files
from converters.guest.privilege.around import Around, script_text
from converters.guest.privilege.capabilities import GENERAL_ROOT, ordered
from converters.guest.privilege.daemons import KNOWN
from converters.guest.privilege.gaining import gaining, started_paths
from converters.guest.privilege.known import Extra, Known
from converters.guest.privilege.sandbox import devices, gains_nothing, is_device, taken
from converters.guest.privilege.values import Need, NeedKind, Needs
from converters.guest.services.unit_file import Settings
from converters.init.specification import CAPABILITIES, Specification

LOWEST_PORT = 1024
"""The first port that every user may open (ip(7), ``ip_unprivileged_port_start``)."""

_SCRIPT_PATH = re.compile(r"/[\w./+-]{1,200}")
_MOST_PATHS = 2000
"""Paths in a script that are looked at."""


class Finder:
    """Finds the needs of the services of one guest."""

    def __init__(self, files: GuestFiles, accounts: Accounts) -> None:
        self._files = files
        self._accounts = accounts
        self._around = Around(files, self._is_root)

    def needs(self, service: Service, settings: Settings | None) -> Needs:
        """What a service needs, each thing once, and why it gains nothing by what it starts.

        Args:
            settings: of its unit, where it has one.
        """
        is_root = self._is_root(service.user)
        known = self._known(service)
        bounding = _bounding(service.specification, settings)
        found: list[Need] = [
            *self._own(service, settings, known, is_root),
            *devices(settings),
            *_named_devices(service),
            *self._extras(service, known, is_root),
            *self._around.needs(service, is_root),
            *_ports(service, is_root),
        ]
        paths = [*(known.helpers if known else ()), *(() if is_root else started_paths(service))]
        gained, gains = gaining(self._files, paths)
        found += gained
        kept = [
            need
            for need in found
            if need.kind is not NeedKind.CAPABILITY or bounding is None or need.name in bounding
        ]
        why = gains_nothing(settings, is_root)
        if not why and known is not None and known.alone:
            why = f"{_name(service)} starts no other program ({known.source})"
        return Needs(tuple(_once(kept)), "" if gains else why)

    def _is_root(self, user: str) -> bool:
        return user in ("", "root") or self._accounts.uid(user) == 0

    def _known(self, service: Service) -> Known | None:
        known = KNOWN.get(program_name(service.command))
        if known is None and not service.command and service.specification is not None:
            # A SysV script: the daemon is one of the programs that it names.
            for path in self._named_paths(service.specification):
                known = known or KNOWN.get(path.rpartition("/")[2])
        return known

    def _named_paths(self, specification: Specification) -> Iterator[str]:
        for command in specification.start:
            for number, found in enumerate(_SCRIPT_PATH.finditer(script_text(self._files, command.words[0]))):
                if number < _MOST_PATHS:
                    yield found[0]

    def _own(
        self, service: Service, settings: Settings | None, known: Known | None, is_root: bool
    ) -> Iterator[Need]:
        """Capabilities of the main process."""
        execution = service.specification.execution if service.specification else None
        if is_root:
            yield from self._of_root(service, settings, known)
        if execution is not None:
            for name in execution.ambient_capabilities:
                yield _capability(name, "AmbientCapabilities= of its unit", optional=True)

    def _of_root(self, service: Service, settings: Settings | None, known: Known | None) -> Iterator[Need]:
        execution = service.specification.execution if service.specification else None
        bounding = execution.bounding_capabilities if execution else None
        if known is not None and service.command:
            # Which ports a known daemon opens is known, too: ``_ports`` says whether they are low.
            low = frozenset() if not service.ports else frozenset(("CAP_NET_BIND_SERVICE",))
            yield from _capabilities(
                known.as_root - low,
                f"it starts as root, and {_name(service)} uses this ({known.source})",
            )
        elif bounding is not None and _lists(settings):
            yield from _capabilities(bounding, "CapabilityBoundingSet= of its unit lists it")
        else:
            # A script that starts a known daemon makes directories, changes users and ends what it started.
            yield from _capabilities(GENERAL_ROOT, "it runs as root, and nobody knows what of that it uses")
        name = program_name(service.command)
        if name and self._files.is_file(f"/etc/pam.d/{name}"):
            yield _capability("CAP_AUDIT_WRITE", f"it logs users in (/etc/pam.d/{printable(name)})")

    def _extras(self, service: Service, known: Known | None, is_root: bool) -> Iterator[Need]:
        """What a known daemon needs beyond files and users; not root's has no capability but ambient ones."""
        told = service.specification
        ambient = told.execution.ambient_capabilities if told else ()
        for extra in known.extras if known else ():
            if not self._applies(extra, service.command):
                continue
            evidence = f"{_name(service)} {extra.reason} ({known.source if known else ''})"
            for capability in ordered(extra.capabilities):
                if not is_root and capability not in ambient:
                    continue
                yield Need(NeedKind.CAPABILITY, capability, evidence, extra.optional, extra.advice)
            for device in extra.devices:
                yield Need(NeedKind.DEVICE, device, evidence, extra.optional, extra.advice)
            if extra.host_network:
                yield Need(NeedKind.HOST_NETWORK, "", evidence, extra.optional, extra.advice)
            if extra.privileged:
                yield Need(NeedKind.PRIVILEGED, "", evidence, extra.optional, extra.advice)

    def _applies(self, extra: Extra, words: tuple[str, ...]) -> bool:
        if not extra.pattern:
            return True
        line = " ".join(words[1:])
        if re.search(rf"(?:^|\s){extra.pattern}", line):
            return True
        pattern = re.compile(rf"^[ \t]*{extra.pattern}", re.MULTILINE)
        return any(
            pattern.search(self._files.text(path) or "")
            for path in configuration_files(self._files, line, extra.places)
        )


def _name(service: Service) -> str:
    return printable(program_name(service.command)) or service.name


def _named_devices(service: Service) -> Iterator[Need]:
    """Devices that its command line names."""
    for word in service.command[1:]:
        path = printable(word.rpartition("=")[2])
        if is_device(path):
            yield Need(NeedKind.DEVICE, path, "its command line names it")


def _ports(service: Service, is_root: bool) -> Iterator[Need]:
    """What ports below 1024 take; those of socket units are opened by the init, as root."""
    told = service.specification
    ambient = told.execution.ambient_capabilities if told else ()
    for port in service.ports:
        if port.number >= LOWEST_PORT or "CAP_NET_BIND_SERVICE" in ambient:
            continue
        evidence = f"port {port.number}/{port.protocol} ({port.source})"
        if is_root or (told is not None and told.sockets):
            yield _capability("CAP_NET_BIND_SERVICE", evidence)
        else:
            yield Need(NeedKind.LOW_PORT, "", f"{evidence}, opened by user {service.user}")


def _bounding(specification: Specification | None, settings: Settings | None) -> frozenset[str] | None:
    """All that the service can have; None: whatever there is."""
    listed = specification.execution.bounding_capabilities if specification else None
    less = taken(settings)
    if listed is None:
        return frozenset(CAPABILITIES) - less if less else None
    ambient = specification.execution.ambient_capabilities if specification else ()
    return frozenset((*listed, *ambient)) - less


def _lists(settings: Settings | None) -> bool:
    """Whether the unit names the capabilities it wants, not those it gives up."""
    values = settings.all("Service", "CapabilityBoundingSet") if settings else []
    return not any(value.startswith("~") for value in values)


def _capability(name: str, evidence: str, optional: bool = False) -> Need:
    return Need(NeedKind.CAPABILITY, name, evidence, optional)


def _capabilities(names: Iterable[str], evidence: str, optional: bool = False) -> Iterator[Need]:
    for name in ordered(names):
        yield _capability(name, evidence, optional)


def _once(needs: Iterable[Need]) -> Iterator[Need]:
    """Each thing once: with the first evidence, and needed where any evidence says so."""
    found: dict[tuple[NeedKind, str], Need] = {}
    for need in needs:
        key = (need.kind, need.name)
        held = found.get(key)
        if held is None or (held.optional and not need.optional):
            found[key] = need
    return iter(found.values())
