"""Whether an address is one that only the machine itself reaches."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from converters.guest.facts import Port

_LOOPBACK = re.compile(r"127(?:\.\d+){3}|::1|localhost", re.IGNORECASE)


def is_loopback(host: str) -> bool:
    """True for ``127.0.0.1``, ``[::1]``, ``localhost``; of a list, when all are. Empty means all."""
    names = [name.strip("[]-") for name in re.split(r"[\s,]+", host) if name]
    return bool(names) and all(_LOOPBACK.fullmatch(name) for name in names)


def asks_ipv6_loopback(host: str) -> bool:
    """True when ``::1`` is among a list's addresses; with a dash before it, it may be missing (Redis)."""
    return any(name.strip("[]") == "::1" for name in re.split(r"[\s,]+", host))


def merged(ports: Iterable[Port]) -> tuple[Port, ...]:
    """One of each number and protocol, in order; reachable from outside when any of them is."""
    found: dict[tuple[int, str], Port] = {}
    for port in sorted(ports, key=lambda port: (port.number, port.protocol, port.loopback)):
        kept = found.setdefault((port.number, port.protocol), port)
        if port.ipv6_loopback and not kept.ipv6_loopback:
            found[port.number, port.protocol] = replace(kept, ipv6_loopback=True)
    return tuple(found.values())
