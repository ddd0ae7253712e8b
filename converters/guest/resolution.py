"""Which names a guest knows by itself (hosts(5)), and the domains it searches (resolv.conf(5))."""

from __future__ import annotations

import re

from converters.guest.files import GuestFiles, printable

_MOST_LINES = 1000
_MOST_NAMES = 16
_MOST_DOMAINS = 6
"""More than that resolv.conf(5) did not take for long."""
_SEARCH = re.compile(r"^[ \t]*(?:search|domain|Domains[ \t]*=|dns-search)[ \t]*(.*)$", re.MULTILINE)


def read_hosts(files: GuestFiles) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Addresses with their names, in the order of the file; what is no such line is passed over."""
    lines = (files.text("/etc/hosts") or "").splitlines()[:_MOST_LINES]
    fields = (line.partition("#")[0].split() for line in lines)
    return tuple(
        (printable(address), tuple(map(printable, names[:_MOST_NAMES])))
        for address, *names in filter(None, fields)
        if names
    )


def read_search_domains(files: GuestFiles) -> tuple[str, ...]:
    """Domains in which the guest looks names up, of the first file that tells any.

    Where a program writes resolv.conf at run time, a powered-off guest has none, or an old one.
    """
    for path in ("/etc/resolv.conf", "/etc/systemd/resolved.conf", "/etc/network/interfaces"):
        found = [name for line in _SEARCH.findall(files.text(path) or "") for name in line.split()]
        domains = tuple(dict.fromkeys(printable(name) for name in found if name not in (".", "~.")))
        if domains:
            return domains[:_MOST_DOMAINS]
    return ()
