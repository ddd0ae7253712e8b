"""The ports a service listens on, read from its configuration: one module for each kind of daemon."""

from __future__ import annotations

import re
from collections.abc import Mapping

from converters.guest.facts import Port
from converters.guest.files import GuestFiles
from converters.guest.ports.apache import apache_ports
from converters.guest.ports.arguments import argument_ports
from converters.guest.ports.haproxy import haproxy_ports
from converters.guest.ports.java import elastic_ports, java_ports, tomcat_ports
from converters.guest.ports.mail import dovecot_ports, postfix_ports
from converters.guest.ports.named import named_ports
from converters.guest.ports.nginx import nginx_ports
from converters.guest.ports.settings import DAEMONS, setting_ports

_EXEC = re.compile(r"\bexec\s+(\S+)")
_WRAPPERS = {"systemd-memcached-wrapper": "memcached", "grafana-server": "grafana"}


def service_ports(
    files: GuestFiles, words: tuple[str, ...], environment: Mapping[str, str]
) -> tuple[Port, ...]:
    """Ports that the program of a command line listens on; empty when nothing tells.

    Args:
        words: the command that stays in the foreground.
        environment: what the service sees.
    """
    program = program_name(words)
    match program:
        case "":
            return ()
        case "nginx":
            return nginx_ports(files, words)
        case "httpd" | "apache":
            return apache_ports(files)
        case "haproxy":
            return haproxy_ports(files, words)
        case "named":
            return named_ports(files, words)
        case "postfix":
            return postfix_ports(files)
        case "dovecot":
            return dovecot_ports(files, words)
        case "java":
            return java_ports(files, words, environment)
        case "tomcat-start.sh" | "catalina.sh" | "startup.sh":
            base = environment.get("CATALINA_BASE") or environment.get("CATALINA_HOME", "")
            return tomcat_ports(files, base, {}) if base else ()
        case "systemd-entrypoint" | "elasticsearch" | "opensearch":
            return elastic_ports(files, environment.get("ES_PATH_CONF", ""))
        case _ if program in DAEMONS:
            return setting_ports(files, program, words)
        case _:
            return argument_ports(words, environment)


def program_name(words: tuple[str, ...]) -> str:
    """Name of the program, without a version; of a shell, its script or what it becomes by ``exec``."""
    name = words[0] if words else ""
    if name.rpartition("/")[2] in ("sh", "bash", "dash"):
        if len(words) > 1 and words[1].startswith("/"):
            name = words[1]
        elif found := _EXEC.search(words[-1]):
            name = found[1]
    if name.rpartition("/")[2] == "busybox":
        return " ".join(("busybox", *words[1:2]))
    short = re.sub(r"[\d.]+$", "", name.rpartition("/")[2])
    return _WRAPPERS.get(short, short)
