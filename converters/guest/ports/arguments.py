"""Ports that a program's own command line or environment names, by the words most programs use for it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from converters.guest.facts import Port
from converters.guest.ports.address import is_loopback, merged

_OPTIONS = (
    "--port",
    "--http-port",
    "--listen-port",
    "--bind",
    "-b",
    "--listen",
    "--address",
    "--addr",
    "--http",
)
_PORT_ALONE = re.compile(r"(?:--?[\w.-]*port)=(\d+)")
_VARIABLES = re.compile(r"(?:[A-Z0-9]+_)*(?:PORT|LISTEN|BIND)")
_ADDRESS = re.compile(r"(?:[a-z]+://)?(?:(?P<host>\[[^\]]*\]|[\w.*-]*):)?(?P<port>\d+)/?")


def argument_ports(words: tuple[str, ...], environment: Mapping[str, str]) -> tuple[Port, ...]:
    """Ports after options as ``--port``, ``--bind`` or ``--listen``; else those of the environment."""
    said = [port for value in _values(words) if (port := _port(value, "command line"))]
    found = said or [
        port
        for name, value in environment.items()
        if _VARIABLES.fullmatch(name) and (port := _port(value, f"environment variable {name}"))
    ]
    return merged(found)


def _values(words: tuple[str, ...]) -> Iterator[str]:
    for position, word in enumerate(words[1:], start=1):
        option, equals, value = word.partition("=")
        if option not in _OPTIONS:
            found = _PORT_ALONE.fullmatch(word)
            value = found[1] if found else ""
        elif not equals:
            value = words[position + 1] if position + 1 < len(words) else ""
        yield value
    # `python3 -m http.server 8000` takes its port as an argument of its own.
    if "http.server" in words[:-1]:
        yield words[words.index("http.server") + 1]


def _port(text: str, source: str) -> Port | None:
    found = _ADDRESS.fullmatch(text)
    if found is None or not 0 < int(found["port"]) < 65536:
        return None
    return Port(int(found["port"]), "tcp", source, is_loopback(found["host"] or ""))
