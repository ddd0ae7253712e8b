"""All services of a machine in one container, where a container each would keep them from each other. Pure.

Most machines need it not: services that talk over the network or Unix sockets, or share data, do so
also between containers of one network and shared volumes. Signals, process lists
and other files do not cross containers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from enum import StrEnum

from converters.entrypoint import INIT, SERVICES, file_name
from converters.guest.privilege.capabilities import ordered
from converters.guest.privilege.own import init_needs
from converters.guest.privilege.values import Level, Privilege
from converters.image.config import RunConfig
from converters.init.specification import Command, Execution, Specification
from converters.plan import APART, ImagePlan, ServicePlan

_REACHES = re.compile(
    r"(?:^|[\s/;&|(`])(systemctl|service|invoke-rc\.d|rc-service|initctl|kill|pkill|killall|pidof|supervisorctl)\s"
)
"""Commands by which one service acts on another's processes."""
_INIT_SECONDS = 5
"""For the init to end what did not end in time."""


class Grouping(StrEnum):
    """How the services of a machine are divided among containers."""

    SERVICE = "service"
    """A container each."""
    VM = "vm"
    """One container for all."""


def grouped(plan: ImagePlan) -> ImagePlan:
    """The plan with all services in the machine's own image, run beside each other by the init.

    A plan without a service, or with one that is alone anyhow, stays as it is.
    """
    if len(plan.services) < 2:
        return plan
    members = tuple(replace(one, specification=_told(one)) for one in plan.services)
    one = _together(plan, members)
    return replace(
        plan,
        run=replace(one.run, labels=plan.run.labels),
        service=one.name,
        services=(one,),
        members=members,
        starts="",
        notes=(
            f"One container runs all {len(members)} services: {', '.join(member.name for member in members)}."
            " The engine sees one of them end by the log alone: the init starts it again.",
            *(note for note in plan.notes if not note.endswith(APART)),
        ),
    )


def arranged(plan: ImagePlan, grouping: Grouping) -> ImagePlan:
    """The plan as its services are to be divided; where that is apart, with what speaks against it."""
    match grouping:
        case Grouping.VM:
            return grouped(plan)
        case Grouping.SERVICE:
            return replace(plan, notes=(*plan.notes, *why_together(plan)))


def why_together(plan: ImagePlan) -> tuple[str, ...]:
    """Signs that services act on each other in a way that does not cross containers, each a sentence."""
    return tuple(dict.fromkeys(_signs(plan)))


def _signs(plan: ImagePlan) -> Iterator[str]:
    for service in plan.services:
        told = service.specification
        if told is None:
            continue
        # Commands of a unit's own reload and stop are about its own process.
        for word in _found((*told.before, *told.start_pre, *told.start, *told.start_post)):
            yield (
                f"Service {service.name} uses {word}: in a container of its own it reaches no other service's"
                " processes; --grouping vm keeps all in one."
            )
    for job in plan.jobs:
        for word in _found(job.specification.start):
            yield (
                f"Job {job.name} uses {word}: it reaches no service's processes from a container of its own;"
                " run its command in the container of the service."
            )


def _found(commands: Iterable[Command]) -> Iterator[str]:
    for command in commands:
        for found in _REACHES.finditer(" ".join(command.words) + " "):
            yield found[1]


def _together(plan: ImagePlan, members: Sequence[ServicePlan]) -> ServicePlan:
    """The one container, with what any of the services needs."""
    ports = dict.fromkeys(port for member in members for port in member.run.exposed_ports)
    paths = tuple(f"{SERVICES}/{file_name(member.name)}" for member in members)
    given = [member.privilege for member in members if member.privilege is not None]
    longest = (
        0.0 if any(not one.stop_seconds for one in members) else max(one.stop_seconds for one in members)
    )
    return ServicePlan(
        name="all",
        run=RunConfig(
            entrypoint=(INIT, *paths),
            exposed_ports=tuple(ports),
            stop_signal="SIGTERM",
            labels=plan.run.labels,
        ),
        ports=tuple(dict.fromkeys(port for member in members for port in member.ports)),
        data=tuple(dict.fromkeys(kept for member in members for kept in member.data)),
        notes=tuple(dict.fromkeys(note for member in members for note in member.notes)),
        privilege=_all_of(given, members) if len(given) == len(members) else None,
        secrets=tuple({secret.name: secret for member in members for secret in member.secrets}.values()),
        stop_seconds=longest + _INIT_SECONDS if longest else 0.0,
    )


def _all_of(given: Sequence[Privilege], members: Sequence[ServicePlan]) -> Privilege:
    levels = list(Level)
    # Services that the engine would start by itself have an init now, which becomes their user.
    inits = {need.name for one in members if one.specification for need in init_needs(one.specification)}
    return Privilege(
        level=max((one.level for one in given), key=levels.index),
        capabilities=ordered({*inits, *(name for one in given for name in one.capabilities)}),
        devices=tuple(sorted({device for one in given for device in one.devices})),
        host_network=any(one.host_network for one in given),
        privileged=any(one.privileged for one in given),
        no_new_privileges=all(one.no_new_privileges for one in given),
        sysctls=tuple(sorted({pair for one in given for pair in one.sysctls})),
        reasons=tuple(dict.fromkeys(reason for one in given for reason in one.reasons)),
        decisions=tuple(dict.fromkeys(decision for one in given for decision in one.decisions)),
    )


def _told(member: ServicePlan) -> Specification:
    """What the service's own init is told: its variables too, since the container's are for all."""
    told = member.specification or _plain(member)
    environment = tuple(sorted({**dict(told.execution.environment), **dict(member.run.env)}.items()))
    # The init of the group answers /dev/log.
    return replace(told, dev_log=False, execution=replace(told.execution, environment=environment))


def _plain(member: ServicePlan) -> Specification:
    """For a service that an engine would start by itself."""
    user, _, group = member.run.user.partition(":")
    words = (*member.run.entrypoint, *member.run.cmd)
    return Specification(
        member.name,
        start=(Command(words if words[0].startswith("/") else ("/usr/bin/env", *words)),),
        execution=Execution(user=user, group=group, working_directory=member.run.working_dir),
        stop_seconds=member.stop_seconds,
        kill_signal=member.run.stop_signal or "SIGTERM",
    )
