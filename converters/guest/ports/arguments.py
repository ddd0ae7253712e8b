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
    "--web.listen-address",
)
_DEFAULTS: Mapping[str, int] = {
    "alertmanager": 9093,
    "blackbox_exporter": 9115,
    "mysqld_exporter": 9104,
    "node_exporter": 9100,
    "postgres_exporter": 9187,
    "prometheus": 9090,
    "pushgateway": 9091,
}
"""What programs that are told by flags alone listen on when none says, by name without ``prometheus-``."""
_PORT_ALONE = re.compile(r"(?:--?[\w.-]*port)=(\d+)")
_VARIABLES = re.compile(r"(?:[A-Z0-9]+_)*(?:PORT|LISTEN|BIND)")
_ADDRESS = re.compile(r"(?:[a-z]+://)?(?:(?P<host>\[[^\]]*\]|[\w.*-]*):)?(?P<port>\d+)/?")


def argument_ports(words: tuple[str, ...], environment: Mapping[str, str]) -> tuple[Port, ...]:
    """Ports after options as ``--port`` or ``--bind``; else those of the environment, else a default."""
    said = [port for value in _values(words) if (port := _port(value, "command line"))]
    found = said or [
        port
        for name, value in environment.items()
        if _VARIABLES.fullmatch(name) and (port := _port(value, f"environment variable {name}"))
    ]
    name = words[0].rpartition("/")[2] if words else ""
    default = _DEFAULTS.get(name) or _DEFAULTS.get(name.removeprefix("prometheus-").replace("-", "_"))
    if not found and default:
        found = [Port(default, "tcp", f"default of {name}")]
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
