"""Services that inetd(8) and xinetd(8) start for each connection."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from converters.guest.accounts import Accounts
from converters.guest.facts import Port, Service
from converters.guest.files import GuestFiles, printable
from converters.guest.ports.address import is_loopback
from converters.guest.ports.names import service_number
from converters.guest.services.plain import Plain, plain_service

_INETD = "/etc/inetd.conf"
_XINETD = "/etc/xinetd.conf"
_BLOCK = re.compile(r"^\s*service\s+(\S+)\s*\{([^}]*)\}|^\s*defaults\s*\{([^}]*)\}", re.MULTILINE)
_SETTING = re.compile(r"^\s*(\w+)\s*(-=|\+=|=)\s*(.*?)\s*$", re.MULTILINE)
_INCLUDE = re.compile(r"^\s*(includedir|include)\s+(\S+)", re.MULTILINE)
_TOLD = "A connection starts it: a container needs something in front that listens."


def find_inetd_services(files: GuestFiles, accounts: Accounts) -> tuple[Service, ...]:
    """The enabled entries of inetd.conf(5) and xinetd.conf(5), but those that the daemon answers itself."""
    found: dict[str, Service] = {}
    for plain, ports in (*_inetd(files), *_xinetd(files)):
        service = plain_service(files, accounts, plain)
        found.setdefault(service.name, _with_ports(service, ports))
    return tuple(found.values())


def _with_ports(service: Service, ports: tuple[Port, ...]) -> Service:
    return replace(service, ports=ports)


def _inetd(files: GuestFiles) -> Iterator[tuple[Plain, tuple[Port, ...]]]:
    for line in (files.text(_INETD) or "").splitlines():
        fields = line.split()
        if line.lstrip().startswith("#") or len(fields) < 6 or fields[5] == "internal":
            continue
        where, _, protocol, _, identity, program, *arguments = fields
        host, _, name = where.rpartition(":")
        user, _, group = identity.replace(".", ":").partition(":")
        words = (program, *arguments[1:])
        if program.endswith("/tcpd") and arguments:
            words = tuple(arguments)  # tcpd(8) checks hosts.allow, then becomes its argument
        port = _port(files, name, protocol, _INETD, host)
        yield _plain(name, _INETD, words, user, group), port


def _xinetd(files: GuestFiles) -> Iterator[tuple[Plain, tuple[Port, ...]]]:
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
            yield plain, port


def _plain(
    name: str,
    path: str,
    words: tuple[str, ...],
    user: str,
    group: str,
    environment: Mapping[str, str] | None = None,
) -> Plain:
    kind = "a service of inetd"
    return Plain(
        name, path, words, kind, user=user, group=group, environment=environment or {}, notes=(_TOLD,)
    )


def _port(files: GuestFiles, name: str, protocol: str, path: str, host: str) -> tuple[Port, ...]:
    kind = "udp" if protocol.startswith("udp") else "tcp"
    number = service_number(files, name, kind)
    if not number:
        files.note(f"{path}: the service {name} has no port in /etc/services.")
        return ()
    return (Port(number, kind, printable(path), is_loopback(host)),)


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
