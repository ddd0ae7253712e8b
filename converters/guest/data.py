"""Where services keep what they are told to keep: directories that have to outlive a container."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from converters.guest.facts import DataDirectory
from converters.guest.files import GuestFiles, printable
from converters.guest.ports import program_name
from converters.guest.ports.settings import configuration_files


@dataclass(frozen=True, slots=True)
class _Keeper:
    """How a daemon says where its data is."""

    default: tuple[str, ...]
    """Where it is when nothing says."""
    setting: str = ""
    """Regular expression of a line that says so, the path being its first group."""
    places: tuple[str, ...] = ()
    """Files beside those the command line names; a part of a path may hold ``*``."""
    argument: str = ""
    """Regular expression of the command line's part that overrides the files."""


_MYSQL = _Keeper(
    ("/var/lib/mysql",),
    r"datadir\s*=\s*(\S+)",
    (
        "/etc/my.cnf",
        "/etc/my.cnf.d/*.cnf",
        "/etc/mysql/my.cnf",
        "/etc/mysql/conf.d/*.cnf",
        "/etc/mysql/mysql.conf.d/*.cnf",
        "/etc/mysql/mariadb.conf.d/*.cnf",
    ),
    r"--datadir[= ](\S+)",
)
_POSTGRESQL = _Keeper((), r"data_directory\s*=?\s*'([^']+)'", (), r"-D (\S+)")

_KEEPERS: Mapping[str, _Keeper] = {
    "dovecot": _Keeper(("/var/mail", "/var/vmail")),
    "grafana": _Keeper(("/var/lib/grafana",), r"data\s*=\s*(/\S+)", ("/etc/grafana/grafana.ini",)),
    "influxd": _Keeper(("/var/lib/influxdb",)),
    "mariadbd": _MYSQL,
    "mongod": _Keeper(
        ("/var/lib/mongodb",),
        r"db_?[pP]ath\s*[:=]\s*(\S+)",
        ("/etc/mongod.conf", "/etc/mongodb.conf"),
        r"--dbpath[= ](\S+)",
    ),
    "mosquitto": _Keeper(
        ("/var/lib/mosquitto",), r"persistence_location\s+(\S+)", ("/etc/mosquitto/mosquitto.conf",)
    ),
    "mysqld": _MYSQL,
    "mysqld_safe": _MYSQL,
    "named": _Keeper(("/var/lib/bind",)),
    "postfix": _Keeper(("/var/spool/postfix", "/var/mail")),
    "postgres": _POSTGRESQL,
    "postmaster": _POSTGRESQL,
    "prometheus": _Keeper(
        ("/var/lib/prometheus/metrics2",), argument=r"--storage\.tsdb\.path[= ]\"?([^\s\"]+)"
    ),
    "rabbitmq-server": _Keeper(("/var/lib/rabbitmq",)),
    "redis-server": _Keeper(
        ("/var/lib/redis",), r"dir\s+(/\S+)", ("/etc/redis.conf", "/etc/redis/redis.conf")
    ),
    "slapd": _Keeper(("/var/lib/ldap",)),
    "smbd": _Keeper(("/var/lib/samba",)),
    "squid": _Keeper(("/var/spool/squid",)),
}
"""By the program's name."""


def data_directories(
    files: GuestFiles, words: tuple[str, ...], state: Iterable[str] = ()
) -> tuple[DataDirectory, ...]:
    """Directories with a service's data that are there, outermost only, in order.

    Args:
        words: the command that stays in the foreground.
        state: paths that its unit calls its state (``StateDirectory=``).
    """
    found = dict.fromkeys(state, "its unit")
    keeper = _KEEPERS.get(program_name(words))
    if keeper is not None:
        found.update(_kept(files, keeper, words))
    there = {path.rstrip("/"): source for path, source in found.items() if files.is_directory(path)}
    return tuple(
        DataDirectory(printable(path), printable(source))
        for path, source in sorted(there.items())
        # A colon divides the parts of a volume where containers are told of them.
        if ":" not in path and not any(path.startswith(f"{other}/") for other in there)
    )


def _kept(files: GuestFiles, keeper: _Keeper, words: tuple[str, ...]) -> dict[str, str]:
    line = " ".join(words[1:])
    if keeper.argument and (said := re.search(rf"(?:^|\s){keeper.argument}", line)):
        return {said[1]: "command line"}
    found: dict[str, str] = {}
    if keeper.setting:
        for path in configuration_files(files, line, keeper.places):
            for said in re.finditer(rf"^[ \t]*{keeper.setting}", files.text(path) or "", re.MULTILINE):
                found = {said[1].strip("'\""): path}
    return found or dict.fromkeys(keeper.default, f"default of {program_name(words)}")
