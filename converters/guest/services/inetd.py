"""Services that inetd(8) and xinetd(8) start for each connection."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from converters.guest.accounts import Accounts
from converters.guest.facts import Port, Service
from converters.guest.files import GuestFiles, printable
from converters.guest.ports.address import is_loopback
from converters.guest.ports.names import service_number
from converters.guest.services.plain import Plain, plain_service
from converters.init.specification import Socket

_INETD = "/etc/inetd.conf"
_XINETD = "/etc/xinetd.conf"
_BLOCK = re.compile(r"^[ \t]*service\s+(\S+)\s*\{([^}]*)\}|^[ \t]*defaults\s*\{([^}]*)\}", re.MULTILINE)
_SETTING = re.compile(r"^[ \t]*(\w+)\s*(-=|\+=|=)\s*(.*?)\s*$", re.MULTILINE)
_INCLUDE = re.compile(r"^[ \t]*(includedir|include)\s+(\S+)", re.MULTILINE)


def find_inetd_services(files: GuestFiles, accounts: Accounts) -> tuple[Service, ...]:
    """The enabled entries of inetd.conf(5) and xinetd.conf(5), but those that the daemon answers itself."""
    found: dict[str, Service] = {}
    for entry in (*_inetd(files), *_xinetd(files)):
        service = plain_service(files, accounts, entry.plain)
        if service.specification is not None:
            told = replace(
                service.specification,
                sockets=_sockets(entry),
                execution=replace(service.specification.execution, standard_input="socket"),
            )
            service = replace(service, specification=told)
        ports = (entry.port,) if entry.port is not None else ()
        found.setdefault(service.name, replace(service, ports=ports))
    return tuple(found.values())


@dataclass(frozen=True, slots=True)
class _Entry:
    """One service of a configuration."""

    plain: Plain
    port: Port | None
    host: str = ""
    """The address it listens on; empty: all."""
    waits: bool = False
    """Whether one process serves all that comes, and not a process for each connection."""


def _sockets(entry: _Entry) -> tuple[Socket, ...]:
    if entry.port is None:
        return ()
    host = f"[{entry.host}]" if ":" in entry.host else entry.host
    address = f"{host}:{entry.port.number}" if re.match(r"[\d.\[]", host) else str(entry.port.number)
    kind = "datagram" if entry.port.protocol == "udp" else "stream"
    return (Socket(kind, address, accept=not entry.waits and kind == "stream"),)


def _inetd(files: GuestFiles) -> Iterator[_Entry]:
    for line in (files.text(_INETD) or "").splitlines():
        fields = line.split()
        if line.lstrip().startswith("#") or len(fields) < 6 or fields[5] == "internal":
            continue
        where, _, protocol, waiting, identity, program, *arguments = fields
        host, _, name = where.rpartition(":")
        user, _, group = identity.replace(".", ":").partition(":")
        words = (program, *arguments[1:])
        if program.endswith("/tcpd") and arguments:
            words = tuple(arguments)  # tcpd(8) checks hosts.allow, then becomes its argument
        port = _port(files, name, protocol, _INETD, host)
        yield _Entry(_plain(name, _INETD, words, user, group), port, host, waiting.startswith("wait"))


def _xinetd(files: GuestFiles) -> Iterator[_Entry]:
    defaults: dict[str, str] = {}
    for path in _xinetd_files(files):
        for name, body, common in _BLOCK.findall(_without_comments(files.text(path) or "")):
            if not name:
                defaults.update(_settings(common))
                continue
            settings = _settings(body)
            switched_off = name in defaults.get("disabled", "").split()
            internal = "INTERNAL" in settings.get("type", "").split()
            if settings.get("disable", "no") == "yes" or switched_off or internal or "server" not in settings:
                continue
            words = (settings["server"], *settings.get("server_args", "").split())
            if "NAMEINARGS" in settings.get("flags", "").split():
                words = tuple(settings.get("server_args", "").split()) or words
            protocol = settings.get("protocol", "udp" if settings.get("socket_type") == "dgram" else "tcp")
            port = _port(files, settings.get("port", name), protocol, path, settings.get("bind", ""))
            environment = dict(pair.partition("=")[::2] for pair in settings.get("env", "").split())
            plain = _plain(
                name, path, words, settings.get("user", ""), settings.get("group", ""), environment
            )
            yield _Entry(plain, port, settings.get("bind", ""), settings.get("wait") == "yes")


def _plain(
    name: str,
    path: str,
    words: tuple[str, ...],
    user: str,
    group: str,
    environment: Mapping[str, str] | None = None,
) -> Plain:
    kind = "a service of inetd"
    return Plain(name, path, words, kind, user=user, group=group, environment=environment or {})


def _port(files: GuestFiles, name: str, protocol: str, path: str, host: str) -> Port | None:
    kind = "udp" if protocol.startswith("udp") else "tcp"
    number = service_number(files, name, kind)
    if not number:
        files.note(f"{path}: the service {name} has no port in /etc/services.")
        return None
    return Port(number, kind, printable(path), is_loopback(host))


def _xinetd_files(files: GuestFiles) -> Iterator[str]:
    text = files.text(_XINETD)
    if text is None:
        return
    yield _XINETD
    for kind, path in _INCLUDE.findall(text):
        if kind == "include":
            yield path
            continue
        # includedir takes files without a dot in the name and no trailing tilde (xinetd.conf(5)).
        yield from (
            f"{path}/{name}" for name in files.names(path) if "." not in name and not name.endswith("~")
        )


def _settings(body: str) -> dict[str, str]:
    settings: dict[str, str] = {}
    for name, operator, value in _SETTING.findall(body):
        settings[name] = f"{settings.get(name, '')} {value}".strip() if operator == "+=" else value
    return settings


def _without_comments(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
