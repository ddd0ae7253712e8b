"""HAProxy's ``bind`` lines in its frontends (HAProxy Configuration Manual, "bind")."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from converters.guest.facts import Port
from converters.guest.files import GuestFiles, printable
from converters.guest.ports.address import asks_ipv6_loopback, is_loopback, merged

_SECTION = re.compile(
    r"(global|defaults|frontend|listen|backend|peers|resolvers|userlist|mailers|ring|program|cache)\b"
)
_ADDRESS = re.compile(r"(?:(?:ipv[46]|(quic[46]))@)?(?P<host>\S*):(?P<first>\d+)(?:-(?P<last>\d+))?")
_MOST = 64
"""Ports of a range that are told one by one."""


def haproxy_ports(files: GuestFiles, words: tuple[str, ...]) -> tuple[Port, ...]:
    """Ports of the frontends in the files and folders that ``-f`` names."""
    named = [after for word, after in pairwise(words) if word == "-f"]
    paths = [
        path
        for name in named or ["/etc/haproxy/haproxy.cfg"]
        for path in (
            [f"{name}/{entry}" for entry in files.names(name)] if files.is_directory(name) else [name]
        )
    ]
    return merged(port for path in paths for port in _ports(files.text(path) or "", path))


def _ports(text: str, path: str) -> Iterator[Port]:
    section = ""
    for line in text.splitlines():
        fields = line.partition("#")[0].split()
        if fields and _SECTION.fullmatch(fields[0]):
            section = fields[0]
        elif len(fields) >= 2 and fields[0] == "bind" and section in ("frontend", "listen", "peers"):
            for address in fields[1].split(","):
                yield from _bound(address, path)


def _bound(address: str, path: str) -> Iterator[Port]:
    found = _ADDRESS.fullmatch(address)
    if found is None:  # a Unix socket, a descriptor, or an address from a variable
        return
    protocol = "udp" if found[1] else "tcp"
    first = int(found["first"])
    last = min(int(found["last"] or first), first + _MOST - 1)
    for number in range(first, last + 1):
        host = found["host"]
        yield Port(number, protocol, printable(path), is_loopback(host), asks_ipv6_loopback(host))
