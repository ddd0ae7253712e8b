"""Options of ``docker run``, which podman has too, for a machine's containers (docker-run(1))."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from converters.manifests.compose import published
from converters.manifests.machine import IDLE_STOP_SECONDS, Container, Machine
from converters.manifests.volumes import Volume
from converters.manifests.yaml_text import mebibytes
from converters.plan import Resources


def volume_name(machine: Machine, volume: Volume) -> str:
    """A name on the host, where volumes of all machines are: no machine's own name has a dot."""
    return f"{machine.name}.{volume.name}"


def container_name(machine: Machine, container: Container) -> str:
    """A name on the host; a machine's only container has the machine's."""
    return machine.name if machine.alone else f"{machine.name}.{container.key}"


def owner_options(machine: Machine) -> tuple[str, ...]:
    """For the container that has the network the services share, and otherwise does nothing."""
    return (
        *("--name", machine.name, "--tty", "--stop-timeout", str(IDLE_STOP_SECONDS)),
        *_network(machine),
        *_resources(machine.resources),
        *_volumes(machine, machine.volumes),
        *_platform(machine),
        *(word for program in machine.idle for word in ("--entrypoint", program)),
    )


def service_options(machine: Machine, container: Container) -> tuple[str, ...]:
    """For a service's container, or for a machine's only one."""
    return (
        *("--name", container_name(machine, container)),
        *(_network(machine) if machine.alone else ("--network", f"container:{machine.name}")),
        *(() if container.service else ("--tty",)),
        *_resources(container.resources or machine.resources),
        *_running(container),
        *_volumes(machine, machine.volumes if machine.alone else container.volumes),
        *_platform(machine),
        *(word for name, value in container.environment for word in ("--env", f"{name}={value}")),
    )


def secret_binds(container: Container, folder: str) -> tuple[str, ...]:
    """What ``--volume`` says of the secrets that a container gets from a folder of the host."""
    return tuple(f"{folder}/{secret.name}:{secret.source}:ro" for secret in container.secrets)


def job_options(machine: Machine) -> tuple[str, ...]:
    """For a job, once: the machine's own image with its network and all its volumes."""
    return (
        *("--rm", "--network", f"container:{machine.name}", "--user", "0:0"),
        *_volumes(machine, machine.volumes),
        *_platform(machine),
    )


def job_command(command: Iterable[str], image: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The option that names the program, and what comes after the options: the image and the arguments."""
    program, *arguments = command
    return ("--entrypoint", program), (image, *arguments)


def _network(machine: Machine) -> Iterator[str]:
    if machine.host_network:
        yield from ("--network", "host")
    if machine.hostname:
        yield from ("--hostname", machine.hostname)
    for name, address in machine.hosts:
        yield from ("--add-host", f"{name}:{address}")
    for name, value in machine.engine_sysctls:
        yield from ("--sysctl", f"{name}={value}")
    if not machine.host_network:
        for port in machine.ports:
            yield from ("--publish", published(port))


def _resources(resources: Resources) -> Iterator[str]:
    if resources.cpus is not None:
        yield from ("--cpus", f"{resources.cpus:.3f}")
    if resources.cpu_weight:
        yield from ("--cpu-shares", str(resources.cpu_weight))
    if resources.memory_bytes is not None:
        yield from ("--memory", mebibytes(resources.memory_bytes))
    if resources.memory_reserved_bytes:
        yield from ("--memory-reservation", mebibytes(resources.memory_reserved_bytes))


def _running(container: Container) -> Iterator[str]:
    yield from ("--stop-timeout", str(container.stop_seconds))
    given = container.privilege
    if given is not None and given.privileged:
        yield "--privileged"
        return
    if given is not None:
        yield from ("--cap-drop", "ALL")
        if given.no_new_privileges:
            yield from ("--security-opt", "no-new-privileges")
        for device in given.devices:
            yield from ("--device", device)
    for capability in container.added_capabilities:
        yield from ("--cap-add", capability)


def _volumes(machine: Machine, volumes: Iterable[Volume]) -> Iterator[str]:
    for volume in volumes:
        yield from ("--volume", f"{volume_name(machine, volume)}:{volume.path}")


def _platform(machine: Machine) -> tuple[str, ...]:
    return ("--platform", f"linux/{machine.architecture}") if machine.architecture else ()
