"""From facts to an image: what it starts, and with which resources. Pure: nothing here reads or writes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from converters.entrypoint import entrypoint
from converters.guest.facts import DataDirectory, Directory, GuestFacts, MountPoint, Port, Role, Service
from converters.guest.kernel.values import KernelVerdict
from converters.guest.privilege.own import init_needs
from converters.guest.privilege.values import Privilege
from converters.guest.privilege.verdict import verdict
from converters.guest.secrets.choose import held_files
from converters.guest.secrets.choose import told as told_secrets
from converters.guest.secrets.content import variable_holds_secret
from converters.guest.secrets.values import HeldFile, SecretFile, SecretMount
from converters.hardening import STANDARD, Hardening, Secrets
from converters.image.config import OUR_LABELS, RunConfig
from converters.init.specification import Specification
from converters.moved_secrets import (
    REASON,
    mounts,
    moved_variables,
    told_for_jobs,
    variables_file,
    with_secrets,
)
from converters.scheduled import JobPlan, job_plans, told_jobs, told_without_command

MIB = 1 << 20

AUTO = "auto"
NOTHING = "shell"
"""What a machine's own image starts, where it is no service that somebody has named."""

SERVICE_LABEL = OUR_LABELS + "service"

_NO_COMMAND = "no command is known"
_NORMAL_SHARES = 1000
"""Of one virtual processor in vSphere."""

APART = "each has an image of its own, with the same layers; the machine's own starts a shell."
"""The end of the note on a machine of several services."""

SHELL = ("/bin/sh",)
"""What an image starts when no single service is its purpose: something a person can look around with."""


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """What the virtualisation layer knows of a machine; all but the name may be unknown."""

    name: str
    vcpus: int = 0
    """Virtual processors; 0 when not known, as for a disk without its machine."""
    memory_mib: int = 0
    """Configured memory in MiB; 0 when not known."""
    cpu_limit: float | None = None
    """Limit in cores (vSphere's MHz divided by those of one core of the host); None: no limit."""
    cpu_reservation: float = 0.0
    """Reserved cores."""
    memory_limit_mib: int | None = None
    """Limit in MiB below the configured memory; None: no limit."""
    memory_reservation_mib: int = 0
    cpu_shares_per_core: int = 0
    """vSphere's shares of one of its processors (1,000 is normal); 0 when not known."""
    restart_priority: str = ""
    """vSphere HA's word: ``disabled``, ``lowest`` … ``highest``; empty when not known."""
    instance_uuid: str = ""
    """vCenter's identifier of the VM, which survives a rename; empty when it has none."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What a container of the image should get: the machine's, by the tighter of its size and its limit."""

    cpus: float | None
    """Cores; None: no limit."""
    memory_bytes: int | None
    """None: no limit."""
    cpus_reserved: float = 0.0
    memory_reserved_bytes: int = 0
    restart_priority: str = ""
    cpu_weight: int = 0
    """Its part where processors are scarce, beside others with 1,024; 0: as all others."""


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """How an engine finds out whether a service is well: by a command, or else by a port."""

    command: tuple[str, ...] = ()
    """Run in the container; well when it ends with 0."""
    port: int = 0
    """TCP; well when it accepts a connection. 0: none."""
    path: str = ""
    """Of an HTTP request to that port; well when the answer is 2xx or 3xx. Empty: a connection is enough."""
    interval_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class Decision:
    """Something about a machine that a person has decided otherwise than it was found."""

    subject: str
    """``service nginx``, ``job backup``, ``machine``."""
    what: str
    """What was changed, as the end of a sentence: ``ports are 8080/tcp``."""
    source: str
    """``rule 3 of fleet.rules.yaml``, ``plan web01.plan.yaml``."""


@dataclass(frozen=True, slots=True)
class ServiceChoice:
    """What a person decides of a service beside the facts."""

    resources: Resources | None = None
    """Its own; None: the machine's."""
    health: HealthCheck | None = None


@dataclass(frozen=True, slots=True)
class Choices:
    """What a person decides of a machine beside the facts, which are changed before anything is planned."""

    starts: str = AUTO
    """What the machine's own image starts: ``AUTO``, ``NOTHING``, or a service by its name."""
    resources: Resources | None = None
    """None: those that the virtualisation layer tells."""
    services: Mapping[str, ServiceChoice] = field(default_factory=dict)
    """By name."""
    decisions: tuple[Decision, ...] = ()


NO_CHOICES = Choices()
_NO_CHOICE = ServiceChoice()


@dataclass(frozen=True, slots=True)
class NotPlanned:
    """A service or a job of the machine that nothing is made of."""

    kind: str
    """``service`` or ``job``."""
    name: str
    reason: str
    lacking: bool = False
    """Whether it should run, and nobody knows how it is started."""


@dataclass(frozen=True, slots=True)
class ServicePlan:
    """One service of a machine, in a container of its own."""

    name: str
    run: RunConfig
    specification: Specification | None = None
    """What the static init is told; None: the engine starts the command itself."""
    reasons: tuple[str, ...] = ()
    """Why it takes the init."""
    ports: tuple[Port, ...] = ()
    """Those too that only the machine itself reaches."""
    data: tuple[DataDirectory, ...] = ()
    notes: tuple[str, ...] = ()
    privilege: Privilege | None = None
    """What its container is given, and that nothing else is; None: what the engine gives every one."""
    secrets: tuple[SecretMount, ...] = ()
    """What its container gets from outside, because the image has it no more."""
    stop_seconds: float = 90.0
    """How long its end may take; 0: without limit."""
    resources: Resources | None = None
    """What a person gave it; None: the machine's."""
    health: HealthCheck | None = None
    """What a person gave it; None: nobody said."""


@dataclass(frozen=True, slots=True)
class ImagePlan:
    """One image to be made from one guest."""

    name: str
    """The machine's name."""
    hostname: str
    """The guest's own name; empty when it has none."""
    architecture: str
    """OCI's word; empty when it is not known."""
    run: RunConfig
    resources: Resources
    service: str = ""
    """The service the image starts; empty when it starts a shell."""
    services: tuple[ServicePlan, ...] = ()
    """Application services that can be started, each an image of its own with the same layers; the only one
    is what the machine's own image starts."""
    jobs: tuple[JobPlan, ...] = ()
    hosts: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Addresses of the guest's /etc/hosts with their names."""
    search_domains: tuple[str, ...] = ()
    data_volumes: tuple[MountPoint, ...] = ()
    """File systems of their own that the machine mounted for its data."""
    data_bytes: tuple[tuple[str, int], ...] = ()
    """What the files below directories with data hold together, by path; empty before the tree was read."""
    directories: tuple[Directory, ...] = ()
    """To be made in the image, parents before children: the guest makes them at each boot."""
    notes: tuple[str, ...] = ()
    """What a person should know before running the image, each a sentence."""
    members: tuple[ServicePlan, ...] = ()
    """Services that the only container runs beside each other; empty where each has one of its own."""
    starts: str = ""
    """Of several services, the one that the machine's own image starts too, because a person said so."""
    kernel: KernelVerdict | None = None
    """How its containers run on the kernel of their hosts; None: not judged."""
    held: tuple[HeldFile, ...] = ()
    """Files that are moved out of the image."""
    secret_files: tuple[SecretFile, ...] = ()
    """Variables of services that are moved out of it."""
    decisions: tuple[Decision, ...] = ()
    """What is otherwise than it was found, in the order of precedence: the last one counts."""
    not_planned: tuple[NotPlanned, ...] = ()


def plan_image(
    guest: GuestFacts,
    machine: MachineFacts,
    labels: tuple[tuple[str, str], ...] = (),
    hardening: Hardening = STANDARD,
    choices: Choices = NO_CHOICES,
) -> ImagePlan:
    """What the images of ``guest`` start.

    The only application service, if it is known how to start it, becomes the entrypoint. Of several, each
    gets an image of its own, and the machine's own image starts a shell: one that starts the wrong one of two
    looks healthy and is not. A person may choose otherwise.

    Args:
        labels: of the image, by name.
        hardening: how much its containers may have.
    """
    applications = [service for service in guest.services if service.role is Role.APPLICATION]
    ordered = tuple(sorted(labels))
    held = held_files(guest.secrets, hardening)
    services = tuple(_service_plans(applications, guest, ordered, hardening, choices, held))
    jobs = job_plans(guest)
    alone = len(applications) == len(services) == 1 and choices.starts != NOTHING
    only = services[0] if alone else None
    chosen = next((one for one in services if one.name == choices.starts), None)
    started = only or chosen
    return ImagePlan(
        name=machine.name,
        hostname=guest.hostname,
        architecture=guest.architecture,
        run=replace(started.run if started else _shell(guest, hardening), labels=ordered),
        resources=choices.resources or resources(machine),
        service=only.name if only else "",
        services=services,
        jobs=jobs,
        hosts=guest.hosts,
        search_domains=guest.search_domains,
        directories=guest.directories,
        notes=(
            *((*only.notes, *_unreachable(only)) if only else _why_a_shell(applications, services, chosen)),
            *told_jobs(jobs),
            *told_without_command(guest.jobs),
            *told_secrets(guest.secrets, held, hardening),
            *told_for_jobs(
                [job.name for job in jobs], held, [mount for one in services for mount in one.secrets]
            ),
        ),
        starts=chosen.name if chosen and not only else "",
        decisions=choices.decisions,
        held=held,
        secret_files=tuple(_variables_files(applications, guest, hardening)),
        not_planned=tuple(_not_planned(guest, {service.name for service in services})),
    )


def _service_plans(
    applications: list[Service],
    guest: GuestFacts,
    labels: tuple[tuple[str, str], ...],
    hardening: Hardening,
    choices: Choices,
    held: tuple[HeldFile, ...],
) -> Iterator[ServicePlan]:
    for service in applications:
        choice = choices.services.get(service.name, _NO_CHOICE)
        variables = moved_variables(service, guest.secrets, hardening)
        given = mounts(service, held, variables)
        found = entrypoint(service, guest.directories, (REASON,) if given else ())
        if found is not None:
            if given and found.specification is not None:
                found = with_secrets(found, found.specification, given, held, variables)
            named = tuple(sorted((*labels, (SERVICE_LABEL, service.name))))
            run = replace(found.run, labels=named)
            # An image has no number of the machine's own: it would have as many machines as containers.
            told = found.specification and replace(found.specification, machine_id=True)
            own = () if told is None else init_needs(told)
            privilege = verdict(service.name, service.needs, own, hardening.ceiling)
            yield ServicePlan(
                service.name,
                run,
                told,
                found.reasons,
                service.ports,
                service.data,
                (*service.notes, *privilege.decisions),
                privilege,
                secrets=given if told is not None else (),
                stop_seconds=service.specification.stop_seconds if service.specification else 90.0,
                resources=choice.resources,
                health=choice.health,
            )


def _variables_files(
    applications: list[Service], guest: GuestFacts, hardening: Hardening
) -> Iterator[SecretFile]:
    for service in applications:
        if variables := moved_variables(service, guest.secrets, hardening):
            yield variables_file(service.name, variables)


def _shell(guest: GuestFacts, hardening: Hardening) -> RunConfig:
    """A shell with the guest's variables, without those that are to be in no image."""
    shown = guest.environment
    if hardening.secrets is Secrets.EXTRACT:
        shown = tuple(pair for pair in shown if not variable_holds_secret(*pair))
    return RunConfig(cmd=SHELL, env=shown)


def resources(machine: MachineFacts) -> Resources:
    """A container's share: a limit below the configured size counts, one above it changes nothing."""
    cores = [float(machine.vcpus)] if machine.vcpus else []
    cores += [machine.cpu_limit] if machine.cpu_limit is not None else []
    memory = [machine.memory_mib] if machine.memory_mib else []
    memory += [machine.memory_limit_mib] if machine.memory_limit_mib is not None else []
    memory_bytes = min(memory) * MIB if memory else None
    reserved = machine.memory_reservation_mib * MIB
    return Resources(
        cpus=min(cores, default=None),
        memory_bytes=memory_bytes,
        cpus_reserved=machine.cpu_reservation,
        memory_reserved_bytes=reserved if memory_bytes is None else min(reserved, memory_bytes),
        restart_priority=machine.restart_priority,
        cpu_weight=_weight(machine.cpu_shares_per_core),
    )


def _weight(shares: int) -> int:
    """Docker's 1,024 for vSphere's normal 1,000; 0, nothing to say, for exactly that."""
    if shares in (0, _NORMAL_SHARES):
        return 0
    return min(max(round(shares * 1024 / _NORMAL_SHARES), 2), 1 << 18)  # what a control group takes


def _unreachable(service: ServicePlan) -> tuple[str, ...]:
    """Ports that nobody outside the container reaches, so that publishing them would promise too much."""
    return tuple(
        f"Service {service.name} opens port {port.number}/{port.protocol} on the loopback address only"
        f" ({port.source}): other containers reach it only in the same network namespace."
        for port in service.ports
        if port.loopback
    )


def _why_a_shell(
    applications: list[Service], services: tuple[ServicePlan, ...], chosen: ServicePlan | None
) -> tuple[str, ...]:
    """Why the machine's own image starts none of its services, and what became of each."""
    if not applications:
        return ("No application service was found, so the image starts a shell.",)
    planned = {service.name for service in services}
    starts = f"starts {chosen.name}, as was decided" if chosen else "starts a shell"
    if len(applications) > 1:
        apart = f"each has an image of its own; the machine's own {starts}." if chosen else APART
        first = f"{len(applications)} application services were found: {apart}"
    elif services:
        first = f"Service {services[0].name} has an image of its own; the machine's own {starts}."
    else:
        first = "It is not known how to start its service, so the image starts a shell."
    return (
        first,
        *(note for service in services for note in service.notes),
        *(_not_started(service) for service in applications if service.name not in planned),
    )


def _not_planned(guest: GuestFacts, planned: Collection[str]) -> Iterator[NotPlanned]:
    for service in guest.services:
        if service.name not in planned:
            unknown = service.role is Role.APPLICATION
            yield NotPlanned("service", service.name, _NO_COMMAND if unknown else service.reason, unknown)
    for job in guest.jobs:
        if job.role is not Role.APPLICATION or not job.commands:
            unknown = job.role is Role.APPLICATION
            yield NotPlanned("job", job.name, _NO_COMMAND if unknown else job.reason, unknown)


def _not_started(service: Service) -> str:
    told = f"Service {service.name} ({service.unit}): no command is known."
    return " ".join((told, *service.notes))
