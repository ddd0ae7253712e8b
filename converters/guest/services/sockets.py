"""Socket and path units: what they start, and where sockets listen (systemd.socket(5), systemd.path(5))."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from converters.guest.facts import Port
from converters.guest.files import printable
from converters.guest.ports.address import is_loopback, merged
from converters.guest.services.unit_tree import Unit

NO = ("no", "false", "off", "0", "n", "f")
"""Values that mean no (systemd.syntax(7))."""

_ADDRESS = re.compile(r"(?:(?P<host>.*):)?(?P<port>\d+)")


def activated(unit: Unit) -> str:
    """The service behind a socket or path unit; of one that accepts, a template that connections start."""
    if unit.name.type == "socket" and unit.settings.last("Socket", "Accept", "no") not in NO:
        return f"{unit.name.stem}@.service"
    key = ("Socket", "Service") if unit.name.type == "socket" else ("Path", "Unit")
    return unit.settings.last(*key, default=f"{unit.name.stem}.service")


def sockets_by_service(units: Mapping[str, Unit]) -> dict[str, tuple[Unit, ...]]:
    """Socket units by the service they start."""
    sockets: dict[str, tuple[Unit, ...]] = {}
    for unit in units.values():
        if unit.name.type == "socket":
            service = activated(unit)
            sockets[service] = (*sockets.get(service, ()), unit)
    return sockets


def socket_ports(sockets: Iterable[Unit]) -> tuple[Port, ...]:
    """Ports that socket units listen on; Unix sockets have none."""
    return merged(
        Port(int(found["port"]), protocol, printable(unit.path), is_loopback(found["host"] or ""))
        for unit in sockets
        for key, protocol in (("ListenStream", "tcp"), ("ListenDatagram", "udp"))
        for value in unit.settings.all("Socket", key)
        if (found := _ADDRESS.fullmatch(value))
    )
