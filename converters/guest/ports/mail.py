"""Ports of mail servers: Postfix' master.cf (master(5)), Dovecot's inet_listener blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase

from converters.guest.facts import Port
from converters.guest.files import GuestFiles, printable
from converters.guest.ports.address import is_loopback, merged
from converters.guest.ports.names import service_number

_DOVECOT_PORTS: Mapping[str, tuple[tuple[str, int], ...]] = {
    "imap": (("imap", 143), ("imaps", 993)),
    "pop3": (("pop3", 110), ("pop3s", 995)),
    "sieve": (("sieve", 4190),),
    "submission": (("submission", 587),),
}
_PROTOCOLS = re.compile(r"^[ \t]*protocols\s*=\s*(.*)", re.MULTILINE)
_INCLUDE = re.compile(r"^[ \t]*!include(?:_try)?\s+(\S+)", re.MULTILINE)
_LISTEN = re.compile(r"^[ \t]*listen\s*=\s*(.*)", re.MULTILINE)
_LISTENER = re.compile(r"inet_listener\s+([\w-]+)\s*\{([^}]*)\}")
_COMMENT = re.compile(r"^[ \t]*#.*$", re.MULTILINE)
_DEPTH = 8


def postfix_ports(files: GuestFiles, folder: str = "/etc/postfix") -> tuple[Port, ...]:
    """Ports of the services of type ``inet``; all loopback when ``inet_interfaces`` says so."""
    text = files.text(f"{folder}/main.cf") or ""
    said = re.findall(r"^inet_interfaces\s*=\s*(.*)", text, re.MULTILINE)
    interfaces = said[-1].strip() if said else "all"
    loopback = is_loopback(interfaces.replace("loopback-only", "localhost"))
    return merged(_postfix(files, f"{folder}/master.cf", loopback))


def _postfix(files: GuestFiles, path: str, loopback: bool) -> Iterator[Port]:
    for line in (files.text(path) or "").splitlines():
        fields = line.split()
        if line[:1] in ("#", " ", "\t", "") or len(fields) < 8 or fields[1] != "inet":
            continue
        host, colon, service = fields[0].rpartition(":")
        number = service_number(files, service)
        if number:
            yield Port(number, "tcp", printable(path), is_loopback(host) if colon else loopback)


def dovecot_ports(files: GuestFiles, words: tuple[str, ...]) -> tuple[Port, ...]:
    """Ports of the protocols that are switched on, as their ``inet_listener`` blocks change them."""
    path = words[words.index("-c") + 1] if "-c" in words[:-1] else "/etc/dovecot/dovecot.conf"
    texts = dict(_dovecot_files(files, path, _DEPTH))
    whole = "\n".join(_COMMENT.sub("", text) for text in texts.values())
    protocols = [name for value in _PROTOCOLS.findall(whole)[-1:] for name in value.split()]
    listen = (_LISTEN.findall(whole) or ["*, ::"])[-1]
    changed = {name: (body, path) for path, text in texts.items() for name, body in _listeners(text)}
    ports = [
        _dovecot_port(name, default, changed.get(name), listen)
        for protocol in (protocols or ["imap", "pop3"])
        for name, default in _DOVECOT_PORTS.get(protocol, ())
    ]
    return merged(port for port in ports if port.number)


def _dovecot_port(name: str, default: int, changed: tuple[str, str] | None, listen: str) -> Port:
    body, path = changed or ("", "")
    number = re.search(r"^[ \t]*port\s*=\s*(\d+)", body, re.MULTILINE)
    address = re.search(r"^[ \t]*address\s*=\s*(.*)", body, re.MULTILINE)
    source = printable(path) if number else "default of dovecot"
    return Port(
        int(number[1]) if number else default, "tcp", source, is_loopback(address[1] if address else listen)
    )


def _listeners(text: str) -> list[tuple[str, str]]:
    return [(name, body) for name, body in _LISTENER.findall(_COMMENT.sub("", text))]


def _dovecot_files(files: GuestFiles, path: str, depth: int) -> Iterator[tuple[str, str]]:
    """A configuration file and those it includes, in the order they count."""
    text = files.text(path) or ""
    yield path, text
    for pattern in _INCLUDE.findall(text) if depth else ():
        if not pattern.startswith("/"):
            pattern = f"{path.rpartition('/')[0]}/{pattern}"
        folder, _, name = pattern.rpartition("/")
        for entry in sorted(files.names(folder)):
            if fnmatchcase(entry, name):
                yield from _dovecot_files(files, f"{folder}/{entry}", depth - 1)
