"""nginx's ``listen`` directives, through its ``include`` lines (nginx.org, ngx_http_core_module)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase

from converters.guest.facts import Port
from converters.guest.files import GuestFiles, printable
from converters.guest.ports.address import asks_ipv6_loopback, is_loopback, merged

_TOKEN = re.compile(r"""\s+|\#[^\n]*|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[{};]|[^\s{};"'\#]+""")
_DEPTH = 8


def nginx_ports(files: GuestFiles, words: tuple[str, ...]) -> tuple[Port, ...]:
    """Every port of the configuration that ``words`` starts nginx with; a server that names none has 80."""
    path = words[words.index("-c") + 1] if "-c" in words[:-1] else "/etc/nginx/nginx.conf"
    return merged(_ports(files, path, path.rpartition("/")[0], _DEPTH))


def _ports(files: GuestFiles, path: str, prefix: str, depth: int) -> Iterator[Port]:
    """Ports of one file and those it includes; relative includes are below the main file's directory."""
    servers: list[bool] = []
    """For each block around: whether it is a server that has not said where it listens."""
    for directive, arguments, end in _directives(files.text(path) or ""):
        if end == "{":
            servers.append(directive == "server" and not arguments)
        elif end == "}":
            if servers and servers.pop():
                yield Port(80, "tcp", printable(path))
        elif directive == "listen" and arguments:
            servers = [*servers[:-1], False]
            yield from _listen(arguments, path)
        elif directive == "include" and arguments and depth:
            pattern = arguments[0] if arguments[0].startswith("/") else f"{prefix}/{arguments[0]}"
            for included in _matching(files, pattern):
                yield from _ports(files, included, prefix, depth - 1)


def _directives(text: str) -> Iterator[tuple[str, list[str], str]]:
    """Directive, arguments and what ends it: ``;``, ``{`` or ``}``."""
    words: list[str] = []
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token in ("{", "}", ";"):
            yield (words[0] if words else ""), words[1:], token
            words = []
        elif not token.isspace() and not token.startswith("#"):
            words.append(token.strip("\"'"))


def _listen(arguments: list[str], path: str) -> Iterator[Port]:
    address, *options = arguments
    if address.startswith("unix:"):
        return
    protocol = "udp" if "udp" in options or "quic" in options else "tcp"
    host, colon, port = address.rpartition(":")
    if not colon or address.endswith("]"):
        host, port = ("", address) if address.isdecimal() else (address, "")
    number = int(port) if port.isdecimal() else 80
    yield Port(number, protocol, printable(path), is_loopback(host), asks_ipv6_loopback(host))


def _matching(files: GuestFiles, pattern: str) -> list[str]:
    """Files by a pattern in its last part, as in ``sites-enabled/*``; none for a link that leads nowhere."""
    folder, _, name = pattern.rpartition("/")
    if not any(mark in name for mark in "*?["):
        return [pattern] if files.is_file(pattern) else []
    return [
        f"{folder}/{entry}"
        for entry in files.names(folder)
        if fnmatchcase(entry, name) and (name.startswith(".") or not entry.startswith("."))
    ]
