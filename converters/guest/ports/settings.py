"""Ports of daemons whose configuration is lines of a name and a value: where it is, and the default."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from converters.guest.facts import Port
from converters.guest.files import GuestFiles, printable
from converters.guest.ports.address import is_loopback


@dataclass(frozen=True, slots=True)
class Daemon:
    """How a daemon's port is found."""

    default: int
    """What it listens on when nothing says, 0 for nothing. A 0 in the configuration switches the port off."""
    setting: str
    """Regular expression of a line that sets the port, which is its first group."""
    places: tuple[str, ...]
    """Files beside those the command line names, later ones overriding; ``*`` in the last part."""
    argument: str = ""
    """Regular expression of the command line's part that overrides the files."""
    many: bool = False
    """Whether each line adds a port; otherwise the last one counts."""
    address: str = ""
    """Regular expression of a line that says where it listens, with its first group."""
    default_address: str = ""
    """Where it listens when no line says; empty: everywhere."""


_MYSQL = Daemon(
    3306,
    r"port\s*=\s*(\d+)",
    (
        "/etc/my.cnf",
        "/etc/my.cnf.d/*.cnf",
        "/etc/mysql/my.cnf",
        "/etc/mysql/conf.d/*.cnf",
        "/etc/mysql/mysql.conf.d/*.cnf",
        "/etc/mysql/mariadb.conf.d/*.cnf",
    ),
    r"--port[= ](\d+)",
    address=r"bind[-_]address\s*=\s*(\S+)",
)
_POSTGRESQL = r"port\s*=?\s*'?(\d+)"
_POSTGRESQL_ADDRESS = r"listen_addresses\s*=?\s*'([^']*)'"

DAEMONS: Mapping[str, Daemon] = {
    "mariadbd": _MYSQL,
    "mysqld": _MYSQL,
    "mysqld_safe": _MYSQL,
    "postgres": Daemon(5432, _POSTGRESQL, (), address=_POSTGRESQL_ADDRESS, default_address="localhost"),
    "postmaster": Daemon(
        5432,
        _POSTGRESQL,
        ("/var/lib/pgsql/data/postgresql.conf",),
        r"-p (\d+)",
        address=_POSTGRESQL_ADDRESS,
        default_address="localhost",
    ),
    "redis-server": Daemon(
        6379,
        r"port\s+(\d+)",
        ("/etc/redis.conf", "/etc/redis/redis.conf"),
        r"--port (\d+)",
        address=r"bind\s+([^#\n]+)",
    ),
    "memcached": Daemon(11211, r"-p\s+(\d+)", ("/etc/memcached.conf",), r"-p ?(\d+)", address=r"-l\s+(\S+)"),
    "mosquitto": Daemon(1883, r"(?:listener|port)\s+(\d+)", ("/etc/mosquitto/conf.d/*.conf",), many=True),
    "lighttpd": Daemon(80, r"server\.port\s*=\s*(\d+)", ("/etc/lighttpd/lighttpd.conf",)),
    "busybox httpd": Daemon(80, r"port\s+(\d+)", (), r"-p (?:\S*:)?(\d+)"),
    "haproxy": Daemon(0, r"bind\s+[^\s:]*:(\d+)", (), many=True),
    "sshd": Daemon(22, r"Port\s+(\d+)", ("/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d/*.conf"), many=True),
}
"""By the program's name."""

_SECTION = re.compile(r"\s*\[([^\]]+)\]")
_SERVER_SECTIONS = ("mysqld", "mariadbd", "mariadb", "server")


def setting_ports(files: GuestFiles, program: str, words: tuple[str, ...]) -> tuple[Port, ...]:
    """Ports of one of ``DAEMONS``: from its command line, else its configuration, else its default."""
    daemon = DAEMONS[program]
    line = " ".join(words[1:])
    if daemon.argument and (said := re.search(rf"(?:^|\s){daemon.argument}(?:\s|$)", line)):
        return (Port(int(said[1]), "tcp", "command line"),)
    named = [word for word in re.split(r"[\s=]", line) if word.endswith((".conf", ".cfg"))]
    numbers: dict[int, str] = {}
    address = daemon.default_address
    for path in dict.fromkeys(
        [*named, *(path for place in daemon.places for path in _expanded(files, place))]
    ):
        text = files.text(path) or ""
        for value in _values(text, daemon.setting):
            numbers = {**(numbers if daemon.many else {}), int(value): printable(path)}
        if daemon.address:
            address = ([address, *_values(text, daemon.address)])[-1]
    if not numbers and daemon.default:
        numbers = {daemon.default: f"default of {program}"}
    loopback = is_loopback(address)
    return tuple(Port(number, "tcp", source, loopback) for number, source in numbers.items() if number)


def _values(text: str, setting: str) -> Iterator[str]:
    """Values of a setting, those of other programs' sections left out."""
    section = ""
    for line in text.splitlines():
        if found := _SECTION.match(line):
            section = found[1]
        elif (found := re.match(rf"\s*{setting}", line, re.IGNORECASE)) and (
            not section or section.startswith(_SERVER_SECTIONS)
        ):
            yield found[1]


def _expanded(files: GuestFiles, place: str) -> list[str]:
    folder, _, name = place.rpartition("/")
    if "*" not in name:
        return [place]
    return [f"{folder}/{entry}" for entry in files.names(folder) if fnmatchcase(entry, name)]
