"""BIND's ``listen-on`` and ``controls`` (BIND 9 Administrator Reference Manual, named.conf)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from converters.guest.facts import Port
from converters.guest.files import GuestFiles, printable
from converters.guest.ports.address import is_loopback, merged

_COMMENTS = re.compile(r"/\*.*?\*/|//[^\n]*|#[^\n]*", re.DOTALL)
_INCLUDE = re.compile(r'\binclude\s+"([^"]+)"\s*;')
_LISTEN = re.compile(r"\blisten-on(?:-v6)?\s+((?:(?:port|tls|http)\s+\S+\s+)*)\{([^}]*)\}")
_CHANNEL = re.compile(r"\binet\s+(\S+)(?:\s+port\s+(\d+))?")
_CONTROLS = re.compile(r"\b(controls|statistics-channels)\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
_DEPTH = 8
_DEFAULT_CHANNEL = {"controls": 953, "statistics-channels": 80}


def named_ports(files: GuestFiles, words: tuple[str, ...]) -> tuple[Port, ...]:
    """Port 53 unless the configuration says others, by TCP and UDP; and the channels that control it."""
    path = words[words.index("-c") + 1] if "-c" in words[:-1] else ""
    path = path or next(
        (name for name in ("/etc/bind/named.conf", "/etc/named.conf") if files.is_file(name)), ""
    )
    texts = list(_configuration(files, path, _DEPTH)) if path else []
    listening = [port for name, text in texts for port in _listening(text, name)]
    channels = [port for name, text in texts for port in _channels(text, name)]
    if not any(name in text for _, text in texts for name in ("listen-on ", "listen-on\t", "listen-on{")):
        listening += [Port(53, protocol, "default of named") for protocol in ("tcp", "udp")]
    if not any(_CONTROLS.search(text) for _, text in texts):
        channels.append(Port(953, "tcp", "default of named", loopback=True))
    return merged([*listening, *channels])


def _listening(text: str, path: str) -> Iterator[Port]:
    for options, addresses in _LISTEN.findall(text):
        names = addresses.replace(";", " ").split()
        said = re.search(r"port\s+(\d+)", options)
        encrypted = "tls" in options.split()
        if names and names != ["none"]:
            number = int(said[1]) if said else 853 if encrypted else 53
            for protocol in ("tcp",) if encrypted else ("tcp", "udp"):
                yield Port(number, protocol, printable(path), is_loopback(" ".join(names)))


def _channels(text: str, path: str) -> Iterator[Port]:
    for kind, body in _CONTROLS.findall(text):
        for address, number in _CHANNEL.findall(body):
            yield Port(int(number or _DEFAULT_CHANNEL[kind]), "tcp", printable(path), is_loopback(address))


def _configuration(files: GuestFiles, path: str, depth: int) -> Iterator[tuple[str, str]]:
    text = _COMMENTS.sub("", files.text(path) or "")
    yield path, text
    if depth:
        for included in _INCLUDE.findall(text):
            yield from _configuration(files, included, depth - 1)
