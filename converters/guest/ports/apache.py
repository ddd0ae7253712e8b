"""Apache's ``Listen`` directives (httpd.apache.org, mod mpm_common) in the places distributions keep them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from converters.guest.facts import Port
from converters.guest.files import GuestFiles, printable
from converters.guest.ports.address import asks_ipv6_loopback, is_loopback, merged

_LISTEN = re.compile(r"^\s*Listen\s+(?:(\S*):)?(\d+)\b", re.IGNORECASE)
_BLOCK = re.compile(r"^\s*<(/?)If(!?Module|Module|Define)\s*(!?)([^>]*)>", re.IGNORECASE)

_PLACES = (
    ("/etc/apache2/ports.conf", "/etc/apache2/sites-enabled", "/etc/apache2/conf-enabled"),
    ("/etc/httpd/conf/httpd.conf", "/etc/httpd/conf.d"),
    ("/etc/apache2/listen.conf", "/etc/apache2/vhosts.d"),
)
"""Debian's, Red Hat's and SUSE's."""


def apache_ports(files: GuestFiles) -> tuple[Port, ...]:
    """Ports of every ``Listen`` that holds: inside ``<IfModule>`` only when the module is enabled."""
    paths = [path for places in _PLACES for place in places for path in _configurations(files, place)]
    return merged(port for path in paths for port in _ports(files, path))


def _configurations(files: GuestFiles, place: str) -> list[str]:
    if files.is_directory(place):
        return [f"{place}/{name}" for name in files.names(place) if name.endswith(".conf")]
    return [place] if files.is_file(place) else []


def _ports(files: GuestFiles, path: str) -> Iterator[Port]:
    blocks: list[bool] = []
    for line in (files.text(path) or "").splitlines():
        if block := _BLOCK.match(line):
            if block[1]:
                del blocks[-1:]
            else:
                blocks.append(_holds(files, block[2], block[4].strip(), bool(block[3])))
        elif (listen := _LISTEN.match(line)) and all(blocks):
            host = listen[1] or ""
            yield Port(int(listen[2]), "tcp", printable(path), is_loopback(host), asks_ipv6_loopback(host))


def _holds(files: GuestFiles, kind: str, name: str, negated: bool) -> bool:
    """Whether a block applies; what is defined on the command line is taken as not defined."""
    if kind.lower() == "define":
        return negated
    return _module_enabled(files, name) is not negated


def _module_enabled(files: GuestFiles, name: str) -> bool:
    """Whether a module (``ssl_module`` or ``mod_ssl.c``) is loaded, by Debian's links or Red Hat's files."""
    short = name.removeprefix("mod_").removesuffix(".c").removesuffix("_module")
    if files.is_directory("/etc/apache2/mods-enabled"):
        return f"{short}.load" in files.names("/etc/apache2/mods-enabled")
    return files.is_file(f"/etc/httpd/modules/mod_{short}.so")
