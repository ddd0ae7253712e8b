"""Ports of daemons whose configuration is lines of a name and a value: where it is, and the default."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from converters.guest.facts import Port
from converters.guest.files import GuestFiles, printable
from converters.guest.ports.address import asks_ipv6_loopback, is_loopback


@dataclass(frozen=True, slots=True)
class Daemon:
    """How a daemon's port is found."""

    default: int
    """What it listens on when nothing says, 0 for nothing. A 0 in the configuration switches the port off."""
    setting: str
    """Regular expression of a line that sets the port, which is its first group."""
    places: tuple[str, ...]
    """Files beside those the command line names, later ones overriding; a part of the path may hold ``*``."""
    argument: str = ""
    """Regular expression of the command line's part that overrides the files."""
    many: bool = False
    """Whether each line adds a port; otherwise the last one counts."""
    address: str = ""
    """Regular expression of a line that says where it listens, with its first group."""
    default_address: str = ""
    """Where it listens when no line says; empty: everywhere."""
    also: tuple[int, ...] = ()
    """Further ports that it opens while it has its default one."""
    protocols: tuple[str, ...] = ("tcp",)
    sections: tuple[str, ...] = ()
    """What names of sections that count begin with; lines before the first count too. Empty: all count."""


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
    sections=("mysqld", "mariadbd", "mariadb", "server"),
)
_DNS = ("tcp", "udp")
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
    "sshd": Daemon(22, r"Port\s+(\d+)", ("/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d/*.conf"), many=True),
    "cupsd": Daemon(
        631, r"Listen\s+(?:[^\s:/]*:)(\d+)", ("/etc/cups/cupsd.conf",), address=r"Listen\s+([^\s/]+):"
    ),
    "dnsmasq": Daemon(
        53,
        r"port=(\d+)",
        ("/etc/dnsmasq.conf", "/etc/dnsmasq.d/*"),
        address=r"listen-address=(\S+)",
        protocols=_DNS,
    ),
    "grafana": Daemon(
        3000,
        r"http_port\s*=\s*(\d+)",
        ("/etc/grafana/grafana.ini",),
        address=r"http_addr\s*=\s*(\S+)",
        sections=("server",),
    ),
    "in.tftpd": Daemon(69, r"(?!)()", (), r"(?:--address|-a) \S*:(\d+)", protocols=("udp",)),
    "mongod": Daemon(
        27017,
        r"port\s*[:=]\s*(\d+)",
        ("/etc/mongod.conf", "/etc/mongodb.conf"),
        r"--port[= ](\d+)",
        address=r"bind_?[iI]p\s*[:=]\s*(\S+)",
        default_address="localhost",
    ),
    "nmbd": Daemon(137, r"(?!)()", (), also=(138,), protocols=("udp",)),
    "php-fpm": Daemon(
        0,
        r"listen\s*=\s*(?:\S+:)?(\d+)\s*$",
        ("/etc/php/*/fpm/pool.d/*.conf", "/etc/php-fpm.d/*.conf", "/etc/opt/*/*/php-fpm.d/*.conf"),
        many=True,
        address=r"listen\s*=\s*(\S+):\d+\s*$",
    ),
    "rabbitmq-server": Daemon(
        5672,
        r"listeners\.(?:tcp|ssl)\.\w+\s*=\s*(?:\S*:)?(\d+)",
        ("/etc/rabbitmq/rabbitmq.conf", "/etc/rabbitmq/conf.d/*.conf"),
        many=True,
        also=(4369, 25672),
    ),
    "rsync": Daemon(
        873, r"port\s*=\s*(\d+)", ("/etc/rsyncd.conf",), r"--port[= ](\d+)", address=r"address\s*=\s*(\S+)"
    ),
    "slapd": Daemon(389, r"(?!)()", (), r".*ldaps?://[^\s:/]*:(\d+)\S*.*"),
    "smbd": Daemon(445, r"smb ports\s*=\s*(\d+)", ("/etc/samba/smb.conf",), also=(139,)),
    "snmpd": Daemon(
        161,
        r"agentaddress\s+(?:udp6?:)?(?:\S*:)?(\d+)\s*$",
        ("/etc/snmp/snmpd.conf", "/etc/snmp/snmpd.conf.d/*.conf"),
        address=r"agentaddress\s+(?:udp6?:)?([\d.a-z,\[\]:]+)",
        protocols=("udp",),
    ),
    "squid": Daemon(
        3128,
        r"https?_port\s+(?:\S*:)?(\d+)",
        ("/etc/squid/squid.conf", "/etc/squid/conf.d/*.conf"),
        many=True,
        address=r"https?_port\s+(\S+):\d+",
    ),
    "unbound": Daemon(
        53,
        r"port:\s*(\d+)",
        ("/etc/unbound/unbound.conf", "/etc/unbound/unbound.conf.d/*.conf"),
        address=r"interface:\s*(\S+)",
        default_address="localhost",
        protocols=_DNS,
    ),
    "vsftpd": Daemon(
        21,
        r"listen_port=(\d+)",
        ("/etc/vsftpd.conf", "/etc/vsftpd/vsftpd.conf"),
        address=r"listen_address=(\S+)",
    ),
    "xrdp": Daemon(3389, r"port=(?:tcp://\S*:)?(\d+)", ("/etc/xrdp/xrdp.ini",), sections=("Globals",)),
}
"""By the program's name."""

_SECTION = re.compile(r"\s*\[([^\]]+)\]")


def setting_ports(files: GuestFiles, program: str, words: tuple[str, ...]) -> tuple[Port, ...]:
    """Ports of one of ``DAEMONS``: from its command line, else its configuration, else its default."""
    daemon = DAEMONS[program]
    line = " ".join(words[1:])
    if daemon.argument and (said := re.search(rf"(?:^|\s){daemon.argument}(?:\s|$)", line)):
        return _each({int(said[1]): "command line"}, daemon, loopback=False)
    numbers: dict[int, str] = {}
    addresses = [daemon.default_address]
    for path in configuration_files(files, line, daemon.places):
        text = files.text(path) or ""
        for value in _values(text, daemon.setting, daemon.sections):
            numbers = {**(numbers if daemon.many else {}), int(value): printable(path)}
        if daemon.address:
            addresses += _values(text, daemon.address, daemon.sections)
    if not numbers and daemon.default:
        numbers = dict.fromkeys((daemon.default, *daemon.also), f"default of {program}")
    return _each(numbers, daemon, is_loopback(addresses[-1]), any(map(asks_ipv6_loopback, addresses)))


def configuration_files(files: GuestFiles, line: str, places: Iterable[str]) -> Iterable[str]:
    """Files that a command line names, then those of ``places``, each once."""
    named = [word for word in re.split(r"[\s=]", line) if word.endswith((".conf", ".cfg", ".ini", ".cnf"))]
    return dict.fromkeys([*named, *(path for place in places for path in _expanded(files, place))])


def _each(
    numbers: Mapping[int, str], daemon: Daemon, loopback: bool, ipv6_loopback: bool = False
) -> tuple[Port, ...]:
    return tuple(
        Port(number, protocol, source, loopback, ipv6_loopback)
        for number, source in numbers.items()
        if 0 < number < 65536
        for protocol in daemon.protocols
    )


def _values(text: str, setting: str, sections: tuple[str, ...]) -> Iterator[str]:
    """Values of a setting, those of other programs' sections left out."""
    section = ""
    for line in text.splitlines():
        if found := _SECTION.match(line):
            section = found[1]
        elif (found := re.match(rf"\s*{setting}", line, re.IGNORECASE)) and (
            not section or not sections or section.startswith(sections)
        ):
            yield found[1]


def _expanded(files: GuestFiles, place: str) -> list[str]:
    """The files that a pattern names, each part of it matched in its own directory."""
    paths = [""]
    for part in place.strip("/").split("/"):
        if "*" in part:
            paths = [
                f"{path}/{name}" for path in paths for name in files.names(path) if fnmatchcase(name, part)
            ]
        else:
            paths = [f"{path}/{part}" for path in paths]
    return paths
