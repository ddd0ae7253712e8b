"""What a running machine showed, put over what its files tell. Pure.

Real sockets beat configuration: it may name a port that nobody opens, and miss one that a program's code has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from converters.guest.facts import GuestFacts, Port, Role, Service
from converters.guest.files import printable
from converters.guest.ports import program_name
from converters.guest.ports.address import merged
from converters.running.document import ListeningSocket, Process, RunningFacts

SOURCE = "socket of the running machine"
FIRST_EPHEMERAL = 32768
"""UDP sockets above are a client's own (ip(7), ip_local_port_range)."""
_MOST_NOTES = 20


def with_running(guest: GuestFacts, running: RunningFacts) -> GuestFacts:
    """The guest's services with the ports that they really had; what contradicts is told in the notes."""
    processes = {process.pid: process for process in running.processes}
    sockets = [one for one in running.sockets if one.protocol == "tcp" or one.port < FIRST_EPHEMERAL]
    owners = {id(one): _owner(one, guest.services, processes) for one in sockets}
    alive = {_unit_stem(process.unit) for process in running.processes if process.unit}
    services: list[Service] = []
    notes: list[str] = []
    for service in guest.services:
        own = [one for one in sockets if owners[id(one)] == service.name]
        ports, told = _ports(service, own, running, alive)
        notes += told if service.role is Role.APPLICATION else ()
        services.append(replace(service, ports=ports))
    notes += _strangers([one for one in sockets if owners[id(one)] is None], processes)
    return replace(guest, services=tuple(services), notes=(*guest.notes, *notes[:_MOST_NOTES]))


def _owner(
    socket: ListeningSocket, services: Iterable[Service], processes: Mapping[int, Process]
) -> str | None:
    """Name of the service whose socket it is: by unit, else by program, else by a port that only it has."""
    process = processes.get(socket.process)
    stem = _unit_stem(socket.unit or (process.unit if process else ""))
    candidates = list(services)
    if found := next((one.name for one in candidates if one.name == stem), None):
        return found
    if process is not None and process.program:
        program = program_name((process.program,))
        running = [one.name for one in candidates if program_name(one.command) == program]
        if len(running) == 1:
            return running[0]
    # The service manager itself holds a socket until somebody connects.
    wanted = (socket.protocol, socket.port)
    known = [one.name for one in candidates if wanted in {(port.protocol, port.number) for port in one.ports}]
    return known[0] if len(known) == 1 else None


def _unit_stem(unit: str) -> str:
    """``nginx`` for ``nginx.service`` and ``nginx.socket``."""
    return unit.removesuffix(".service").removesuffix(".socket")


def _ports(
    service: Service, sockets: list[ListeningSocket], running: RunningFacts, alive: set[str]
) -> tuple[tuple[Port, ...], list[str]]:
    """The ports that count, and what contradicts."""
    name = service.name
    if not sockets and service.name not in alive:
        if service.ports and running.processes:
            return service.ports, [f"Service {name} did not run when the machine was looked at."]
        return service.ports, []
    real = merged(Port(one.port, one.protocol, SOURCE, loopback=one.address.is_loopback) for one in sockets)
    seen = {(port.protocol, port.number) for port in real}
    configured = {(port.protocol, port.number): port for port in service.ports}
    told = [
        f"Service {name}: {port.source} says {port.number}/{port.protocol},"
        " and the running machine did not listen there; the running machine counts."
        for key, port in configured.items()
        if key not in seen
    ]
    told += [
        f"Service {name}: the running machine listened on {number}/{protocol},"
        " which no configuration that was read says."
        for protocol, number in sorted(seen - set(configured))
    ]
    return real, told


def _strangers(sockets: Iterable[ListeningSocket], processes: Mapping[int, Process]) -> list[str]:
    told = []
    for socket in sockets:
        process = processes.get(socket.process)
        who = f" ({printable(process.program or ' '.join(process.command))})" if process else ""
        told.append(
            f"The running machine listened on {socket.port}/{socket.protocol}{who}:"
            " no service that was found has this socket."
        )
    return list(dict.fromkeys(told))
