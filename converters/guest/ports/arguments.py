"""Ports that a program's own command line or environment names, by the words most programs use for it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from converters.guest.facts import Port

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
_PORT = re.compile(r"(?:[a-z]+://)?(?:\[[^\]]*\]|[\w.*-]*):(\d+)/?|(\d+)")


def argument_ports(words: tuple[str, ...], environment: Mapping[str, str]) -> tuple[Port, ...]:
    """Ports after options as ``--port``, ``--bind`` or ``--listen``; else those of the environment."""
    numbers = dict.fromkeys(_from_words(words))
    if numbers:
        return tuple(Port(number, "tcp", "command line") for number in numbers)
    found = {
        number: name
        for name, value in environment.items()
        if _VARIABLES.fullmatch(name) and (number := _number(value))
    }
    return tuple(Port(number, "tcp", f"environment variable {name}") for number, name in found.items())


def _from_words(words: tuple[str, ...]) -> Iterator[int]:
    for position, word in enumerate(words[1:], start=1):
        option, equals, value = word.partition("=")
        if option not in _OPTIONS:
            found = _PORT_ALONE.fullmatch(word)
            value = found[1] if found else ""
        elif not equals:
            value = words[position + 1] if position + 1 < len(words) else ""
        if number := _number(value):
            yield number
    # `python3 -m http.server 8000` takes its port as an argument of its own.
    if "http.server" in words[:-1]:
        yield _number(words[words.index("http.server") + 1])


def _number(text: str) -> int:
    found = _PORT.fullmatch(text)
    number = int(found[1] or found[2]) if found else 0
    return number if 0 < number < 65536 else 0
