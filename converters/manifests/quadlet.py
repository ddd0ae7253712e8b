"""Quadlet files for podman 5: a pod of the machine's services, a volume each for what they keep and share.

podman-systemd.unit(5). The services share a pod, so that they find each other at localhost as on the machine.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator

from converters.manifests import unit_text
from converters.manifests.calendar import calendar_events
from converters.manifests.compose import published
from converters.manifests.engine_options import secret_binds, volume_name
from converters.manifests.machine import Container, Machine, ScheduledJob
from converters.manifests.unit_text import argument, value
from converters.manifests.volumes import Volume
from converters.manifests.yaml_text import comment, mebibytes
from converters.plan import Resources

Settings = list[tuple[str, str]]


def quadlet(machine: Machine) -> dict[str, str]:
    """The files by name: those of Quadlet go to /etc/containers/systemd, timers to /etc/systemd/system."""
    head = [
        f"Machine {comment(machine.title)}, {comment(machine.summary)}.",
        *map(comment, machine.notes),
        "Put these files into /etc/containers/systemd, timers into /etc/systemd/system, and then:",
        f"systemctl daemon-reload; systemctl start {machine.name}-pod.service",
    ]
    files = {f"{machine.name}.pod": _pod(machine, head)}
    for container in machine.containers:
        files[f"{machine.name}.{container.key}.container"] = _container(machine, container)
    for volume in machine.volumes:
        name = volume_name(machine, volume)
        files[f"{name}.volume"] = unit_text.unit([("Volume", [("VolumeName", name)])])
    for job in machine.jobs:
        files |= _job(machine, job)
    return files


def _pod(machine: Machine, head: Iterable[str]) -> str:
    settings: Settings = [("PodName", machine.name)]
    if machine.host_network:
        settings.append(("Network", "host"))
    else:
        settings += [("PublishPort", published(port)) for port in machine.ports]
    # Keys for these came with later versions than the arguments. Without the first, the pod of a single
    # service ends with it, and nothing starts it again.
    more = ["--exit-policy=continue"]
    more += [f"--hostname={machine.hostname}"] if machine.hostname else []
    more += [f"--add-host={name}:{address}" for name, address in machine.hosts]
    more += [f"--sysctl={name}={text}" for name, text in machine.sysctls]
    settings += [("PodmanArgs", argument(one)) for one in more]
    install = [("Install", [("WantedBy", "multi-user.target default.target")])]
    return unit_text.unit([("Unit", _about(machine.title)), ("Pod", settings), *install], head)


def _container(machine: Machine, container: Container) -> str:
    settings: Settings = [
        ("Image", value(container.image)),
        ("ContainerName", f"{machine.name}.{container.key}"),
        ("Pod", f"{machine.name}.pod"),
        *_volumes(machine, container.volumes),
        # Relative to this file; several containers may read one, which SELinux is told by the last letter.
        *(("Volume", f"{value(one)},z") for one in secret_binds(container, f"./{machine.secrets_folder}")),
        *_privilege(container),
        *((("PodmanArgs", "--tty"),) if not container.service else ()),
        *_resources(container.resources or machine.resources),
        *_health(container),
    ]
    settings += [("Environment", argument(f"{name}={text}")) for name, text in container.environment]
    settings.append(("StopTimeout", str(container.stop_seconds)))
    service: Settings = [
        ("Restart", "no" if machine.resources.restart_priority == "disabled" else "always"),
        ("TimeoutStartSec", "infinity"),
        ("TimeoutStopSec", str(container.stop_seconds + 30)),
    ]
    about = _about(f"{container.service or machine.title} of {machine.title}")
    return unit_text.unit([("Unit", about), ("Container", settings), ("Service", service)])


def _job(machine: Machine, job: ScheduledJob) -> Iterator[tuple[str, str]]:
    stem = f"{machine.name}.{job.key}"
    program, *arguments = job.command
    settings: Settings = [
        ("Image", value(machine.image)),
        ("Entrypoint", value(program)),
        ("Exec", unit_text.command(arguments)),
        ("User", "0"),
        ("Group", "0"),
        # In the pod's network, but no member: a pod lists what runs all the time.
        ("Network", f"container:{machine.name}-infra"),
        *_volumes(machine, machine.volumes),
    ]
    about = [*_about(f"{job.name} of {machine.title}"), ("After", f"{machine.name}-pod.service")]
    once: Settings = [("Type", "oneshot"), ("TimeoutStartSec", "infinity")]
    when = ["It ran at boot."] if job.at_boot else []
    sections = [("Unit", about), ("Container", settings), ("Service", once)]
    yield f"{stem}.container", unit_text.unit(sections, when)
    if job.schedule:
        clock = [("OnCalendar", event) for event in calendar_events(job.schedule, job.timezone)]
        about = [("Description", value(f"{job.name} of {machine.title}"))]
        install = [("WantedBy", "timers.target")]
        yield f"{stem}.timer", unit_text.unit([("Unit", about), ("Timer", clock), ("Install", install)])


def _volumes(machine: Machine, volumes: Iterable[Volume]) -> Settings:
    """A named volume that is new takes its content, owner and mode from the image."""
    return [("Volume", f"{volume_name(machine, volume)}.volume:{value(volume.path)}") for volume in volumes]


def _privilege(container: Container) -> Iterator[tuple[str, str]]:
    given = container.privilege
    if given is not None and given.privileged:
        yield "PodmanArgs", "--privileged"
        return
    if given is not None:
        yield "DropCapability", "all"
        if given.no_new_privileges:
            yield "NoNewPrivileges", "true"
        yield from (("AddDevice", value(device)) for device in given.devices)
    yield from (("AddCapability", f"CAP_{name}") for name in container.added_capabilities)


def _resources(resources: Resources) -> Iterator[tuple[str, str]]:
    if resources.cpus is not None:
        yield "PodmanArgs", f"--cpus={resources.cpus:.3f}"
    if resources.cpu_weight:
        yield "PodmanArgs", f"--cpu-shares={resources.cpu_weight}"
    if resources.memory_bytes is not None:
        yield "PodmanArgs", f"--memory={mebibytes(resources.memory_bytes)}"
    if resources.memory_reserved_bytes:
        yield "PodmanArgs", f"--memory-reservation={mebibytes(resources.memory_reserved_bytes)}"


def _health(container: Container) -> Iterator[tuple[str, str]]:
    if container.check:
        yield "HealthCmd", value(shlex.join(container.check).replace("$", "$$"))
        yield "HealthInterval", f"{container.check_seconds}s"
        yield "HealthStartPeriod", f"{container.start_seconds}s"


def _about(text: str) -> Settings:
    return [("Description", value(text))]
