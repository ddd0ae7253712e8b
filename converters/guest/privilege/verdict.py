"""From needs to a verdict: what a container is given, and what a person has to decide. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from converters.guest.privilege.capabilities import ENGINE_DEFAULT, HOST_ROOT, ordered
from converters.guest.privilege.values import Ceiling, Level, Need, NeedKind, Needs, Privilege

_CEILINGS = tuple(Ceiling)
_LOW_PORTS = (("net.ipv4.ip_unprivileged_port_start", "0"),)
"""Docker's default since 20.10; Kubernetes and podman have to be told."""


def verdict(service: str, needs: Needs, own: Iterable[Need], ceiling: Ceiling) -> Privilege:
    """What the container of a service is given: of what it needs, whatever is not above the ceiling.

    Args:
        service: its name.
        own: what the init needs beside, always within what engines give.
        ceiling: the most that is given.
    """
    wanted = needs.needs
    given = [need for need in (*wanted, *own) if _within(need, ceiling)]
    refused = [need for need in wanted if not _within(need, ceiling)]
    kinds = {need.kind for need in given}
    host_network = NeedKind.HOST_NETWORK in kinds
    decisions = [*_decisions(service, refused, ceiling)]
    low = [need for need in given if need.kind is NeedKind.LOW_PORT]
    if low and host_network:
        decisions.append(
            f"Service {service} opens {low[0].evidence}: in the host's network that takes"
            f" `{_LOW_PORTS[0][0]}={_LOW_PORTS[0][1]}` on the host."
        )
    return Privilege(
        level=_level(wanted),
        capabilities=ordered(need.name for need in given if need.kind is NeedKind.CAPABILITY),
        devices=tuple(sorted(need.name for need in given if need.kind is NeedKind.DEVICE)),
        host_network=host_network,
        privileged=NeedKind.PRIVILEGED in kinds,
        no_new_privileges=bool(needs.no_new_privileges),
        sysctls=_LOW_PORTS if low and not host_network else (),
        reasons=tuple(_reasons(given, needs.no_new_privileges)),
        decisions=tuple(decisions),
    )


def _level(needs: Iterable[Need]) -> Level:
    """The farthest of what the service does not start without."""
    levels = [_level_of(need) for need in needs if not need.optional]
    return max(levels, key=list(Level).index, default=Level.NONE)


def _level_of(need: Need) -> Level:
    match need.kind:
        case NeedKind.CAPABILITY:
            return Level.PRIVILEGED if need.name in HOST_ROOT else Level.CAPABILITIES
        case NeedKind.DEVICE:
            return Level.DEVICES
        case NeedKind.HOST_NETWORK:
            return Level.HOST_NETWORK
        case NeedKind.PRIVILEGED:
            return Level.PRIVILEGED
        case NeedKind.LOW_PORT:
            return Level.NONE


def _lowest(need: Need) -> Ceiling:
    """The lowest ceiling that gives it."""
    match _level_of(need):
        case Level.NONE:
            return Ceiling.DEFAULT
        case Level.CAPABILITIES:
            return Ceiling.DEFAULT if need.name in ENGINE_DEFAULT else Ceiling.CAPABILITIES
        case Level.DEVICES:
            return Ceiling.DEVICES
        case Level.HOST_NETWORK:
            return Ceiling.HOST_NETWORK
        case Level.PRIVILEGED:
            return Ceiling.PRIVILEGED


def _within(need: Need, ceiling: Ceiling) -> bool:
    return _CEILINGS.index(_lowest(need)) <= _CEILINGS.index(ceiling)


def _told(need: Need) -> str:
    match need.kind:
        case NeedKind.CAPABILITY:
            return need.name
        case NeedKind.DEVICE:
            return f"the device {need.name}"
        case NeedKind.HOST_NETWORK:
            return "the host's network"
        case NeedKind.PRIVILEGED:
            return "a privileged container"
        case NeedKind.LOW_PORT:
            return "ports below 1024 for every user"


def _reasons(given: Iterable[Need], no_new_privileges: str) -> Iterator[str]:
    grouped: dict[str, dict[str, None]] = {}
    for need in given:
        grouped.setdefault(need.evidence, {})[_told(need)] = None
    for evidence, names in grouped.items():
        yield f"{', '.join(names)}: {evidence}."
    if no_new_privileges:
        yield f"no-new-privileges: {no_new_privileges}."


def _decisions(service: str, refused: Iterable[Need], ceiling: Ceiling) -> Iterator[str]:
    """One sentence for each evidence: what is missing, what that means, what would work."""
    grouped: dict[tuple[str, bool, str], list[Need]] = {}
    for need in refused:
        grouped.setdefault((need.evidence, need.optional, need.advice), []).append(need)
    for (evidence, optional, advice), needs in grouped.items():
        wanted = "asks for" if optional else "needs"
        means = "it starts without" if optional else "it is written without, and may not start"
        highest = max((_lowest(need) for need in needs), key=_CEILINGS.index)
        ways = [advice] if advice else []
        ways.append(f"`--privilege-ceiling {highest}` gives it")
        yield (
            f"Service {service} {wanted} {', '.join(map(_told, needs))} ({evidence}). That is above the"
            f" ceiling {ceiling}: {means}. What would work: {'; or '.join(ways)}."
        )
