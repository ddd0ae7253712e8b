"""Daemons that go to the background by themselves, and the command that keeps them in front.

A container ends when its first process does, so a daemon that forks would end it at once, with exit status 0.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from converters.guest.files import GuestFiles


@dataclass(frozen=True, slots=True)
class Foreground:
    """A command that stays; ``words`` is empty when none is known."""

    words: tuple[str, ...] = ()
    user: str = ""
    """Who runs it, where that is not the unit's user."""
    stop_signal: str = ""
    """What ends it cleanly, where that is not the unit's signal."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Options:
    """How a program's command line changes."""

    add: tuple[str, ...] = ()
    drop: frozenset[str] = field(default_factory=frozenset)
    stop_signal: str = ""


_BY_OPTIONS: Mapping[str, _Options] = {
    "dovecot": _Options(("-F",)),
    "exim4": _Options(("-bdf",), frozenset({"-bd"})),
    "httpd": _Options(("-DFOREGROUND",), frozenset({"-k", "start"}), "SIGWINCH"),
    "in.tftpd": _Options(("--foreground",), frozenset({"--listen", "-l"})),
    "keepalived": _Options(("--dont-fork",)),
    "lighttpd": _Options(("-D",)),
    "memcached": _Options((), frozenset({"-d", "--daemon"})),
    "mysqld": _Options((), frozenset({"--daemonize", "-D"})),
    "named": _Options(("-f",)),
    "php-fpm": _Options(("--nodaemonize",), frozenset({"--daemonize", "-D"}), "SIGQUIT"),
    "proftpd": _Options(("--nodaemon",)),
    "redis-server": _Options(("--daemonize", "no")),
    "slapd": _Options(("-d", "0")),
    "smbd": _Options(("--foreground", "--no-process-group"), frozenset({"-D", "--daemon"})),
    "snmpd": _Options(("-f",)),
    "sshd": _Options(("-D",)),
    "squid": _Options(("--foreground",)),
    "unbound": _Options(("-d",)),
    "vsftpd": _Options(("-obackground=NO",)),
    "zabbix_agentd": _Options(("-f",)),
    "zabbix_server": _Options(("-f",)),
}
"""By the program's name without directory; the options are those of the programs' own manual pages."""

_DAEMON_DIRECTIVE = re.compile(r"^\s*daemon\s+(on|off)\s*;", re.MULTILINE)
_PG_SETTING = re.compile(r"^\s*data_directory\s*=?\s*'([^']*)'", re.MULTILINE)


def foreground(files: GuestFiles, words: tuple[str, ...]) -> Foreground:
    """The command that does what ``words`` starts in the background; without ``words`` when none is known."""
    program = words[0].rpartition("/")[2]
    special = _SPECIAL.get(program)
    if special is not None:
        return special(files, words)
    options = _BY_OPTIONS.get(re.sub(r"[\d.]+$", "", program), _BY_OPTIONS.get(program))
    if options is None:
        line = " ".join(words)
        note = f"`{line}` goes to the background, and no command that stays in the foreground is known."
        return Foreground(notes=(note,))
    kept = [word for word in words if word not in options.drop]
    return Foreground((*kept, *options.add), stop_signal=options.stop_signal)


def _nginx(files: GuestFiles, words: tuple[str, ...]) -> Foreground:
    """``-g 'daemon off;'`` in place of the unit's own ``-g``: nginx refuses the directive twice."""
    kept = list(words)
    while "-g" in kept:
        at = kept.index("-g")
        del kept[at : at + 2]
    path = kept[kept.index("-c") + 1] if "-c" in kept[:-1] else "/etc/nginx/nginx.conf"
    said = _DAEMON_DIRECTIVE.search(files.text(path) or "")
    if said is None:
        return Foreground((*kept, "-g", "daemon off;"), stop_signal="SIGQUIT")
    if said[1] == "off":
        return Foreground(tuple(kept), stop_signal="SIGQUIT")
    return Foreground(
        notes=(f"{path} says `daemon on;`: remove that line, then `nginx -g 'daemon off;'` stays.",)
    )


def _apache(files: GuestFiles, words: tuple[str, ...]) -> Foreground:
    """Debian's apache2 with the variables its configuration needs, which its own control script sets."""
    if not files.is_file("/etc/apache2/envvars"):
        return Foreground((*words[:1], "-DFOREGROUND"), stop_signal="SIGWINCH")
    # envvars is a shell script, so a shell reads it; exec makes apache2 the one that gets the stop signal.
    script = (
        ". /etc/apache2/envvars"
        ' && install -d "$APACHE_RUN_DIR" && install -d -o "$APACHE_RUN_USER" "$APACHE_LOCK_DIR"'
        " && exec /usr/sbin/apache2 -DFOREGROUND"
    )
    return Foreground(("/bin/sh", "-c", script), stop_signal="SIGWINCH")


def _postgresql_cluster(files: GuestFiles, words: tuple[str, ...]) -> Foreground:
    """The server of one of Debian's clusters, which ``pg_ctlcluster VERSION-NAME start`` starts."""
    clusters = (re.fullmatch(r"([\d.]+)-(.+)", word) for word in words[1:])
    cluster = next((found for found in clusters if found), None)
    if cluster is None:
        return Foreground(notes=(f"`{' '.join(words)}` names no cluster.",))
    version, name = cluster.groups()
    configuration = f"/etc/postgresql/{version}/{name}/postgresql.conf"
    data = _PG_SETTING.search(files.text(configuration) or "")
    directory = data[1] if data else f"/var/lib/postgresql/{version}/{name}"
    server = f"/usr/lib/postgresql/{version}/bin/postgres"
    return Foreground(
        (server, "-D", directory, "-c", f"config_file={configuration}"),
        user="postgres",
        stop_signal="SIGINT",  # fast shutdown: SIGTERM waits for every client to leave
    )


def _postfix(files: GuestFiles, words: tuple[str, ...]) -> Foreground:
    return Foreground(("/usr/sbin/postfix", "start-fg"))


_SPECIAL: Mapping[str, Callable[[GuestFiles, tuple[str, ...]], Foreground]] = {
    "apache2": _apache,
    "apache2ctl": _apache,
    "apachectl": _apache,
    "nginx": _nginx,
    "pg_ctlcluster": _postgresql_cluster,
    "postfix": _postfix,
    "postmulti": _postfix,
}
