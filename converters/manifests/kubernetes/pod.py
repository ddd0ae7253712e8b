"""The pod of a machine: its services share it, so that they find each other at localhost as on the machine.

The containers differ by image only. Kubernetes' API reference, v1.28 on.
"""

from __future__ import annotations

import re
from typing import Any

from converters.manifests.kubernetes.environment import environment_name, variables
from converters.manifests.machine import Container, Machine
from converters.manifests.volumes import Volume, VolumeKind
from converters.manifests.yaml_text import Block
from converters.plan import MIB

Object = dict[str, Any]

_VOLUMES = "/.orchestrate/volumes"
_SEEDING = ".orchestrate-seeding"
_SEED = Block(f"""\
set -eu
while [ $# -gt 0 ]; do
  to={_VOLUMES}/$2
  if [ -d "$1" ] && {{ [ -e "$to/{_SEEDING}" ] || [ -z "$(ls -A "$to" | grep -vx lost+found)" ]; }}; then
    : > "$to/{_SEEDING}"
    cp -a "$1/." "$to/"
    sync -f "$to" || sync
    rm "$to/{_SEEDING}"
  fi
  shift 2
done
""")
"""Fills volumes that are empty, or that a copy was cut off in, with what the image has in their places, with
owners and modes. Places are arguments, so that no name of the guest's is read by the shell."""

AS_ROOT: Object = {"runAsUser": 0, "runAsGroup": 0}
"""An image may name the user of its service, who can neither read nor give away all files."""

POD: Object = {
    "automountServiceAccountToken": False,
    "enableServiceLinks": False,
}
"""What was a machine asks the cluster for nothing, and gets no variables of other Services."""


def pod(machine: Machine) -> Object:
    """The pod's specification."""
    sysctls = [{"name": name, "value": value} for name, value in machine.sysctls]
    runs = [_empty(volume) for volume in machine.volumes if volume.kind is VolumeKind.RUN]
    volumes = [*runs, *secret_volumes(machine)]
    aliases = _host_aliases(machine)
    return {
        **POD,
        **architecture(machine),
        **({"hostname": host} if (host := _hostname(machine.hostname)) else {}),
        **({"hostAliases": aliases} if aliases else {}),
        **({"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"} if machine.host_network else {}),
        **({"priorityClassName": name} if (name := priority_class(machine)) else {}),
        "terminationGracePeriodSeconds": max(one.stop_seconds for one in machine.containers),
        "securityContext": {
            "seccompProfile": {"type": "RuntimeDefault"},
            **({"sysctls": sysctls} if sysctls else {}),
        },
        **({"initContainers": [_seed(machine)]} if machine.volumes else {}),
        "containers": [_container(machine, one) for one in machine.containers],
        **({"volumes": volumes} if volumes else {}),
    }


def priority_class(machine: Machine) -> str:
    """The PriorityClass for vSphere HA's restart priority; empty where that is the usual one, or none."""
    priority = machine.resources.restart_priority
    return f"orchestrate-{priority}" if priority in PRIORITIES else ""


PRIORITIES = {"lowest": -200_000, "low": -100_000, "high": 100_000, "highest": 200_000}
"""PriorityClass values by HA's words; ``medium``, the default, is Kubernetes' own, 0."""


def _container(machine: Machine, container: Container) -> Object:
    ports = [container_port(port) for port in container.run.exposed_ports]
    security = _security(container)
    mounts: list[Object] = [{"name": volume.name, "mountPath": volume.path} for volume in container.volumes]
    mounts += [
        {"name": "secrets", "mountPath": secret.source, "subPath": secret.name, "readOnly": True}
        for secret in container.secrets
    ]
    return {
        "name": container.key,
        "image": container.image,
        **({} if container.service else {"stdin": True, "tty": True}),
        **({"envFrom": _environment(machine, container)} if variables(container) else {}),
        **({"ports": ports} if ports else {}),
        **_resources(machine, container),
        **_probes(container),
        **({"securityContext": security} if security else {}),
        **({"volumeMounts": mounts} if mounts else {}),
    }


def _environment(machine: Machine, container: Container) -> list[Object]:
    return [{"configMapRef": {"name": environment_name(machine, container)}}]


def _security(container: Container) -> Object:
    given = container.privilege
    if given is None:
        added = list(container.capabilities)
        return {"capabilities": {"add": added}} if added else {}
    if given.privileged:
        return {"privileged": True}
    added = list(container.capabilities)
    return {
        "capabilities": {"drop": ["ALL"], **({"add": added} if added else {})},
        **({"allowPrivilegeEscalation": False} if given.no_new_privileges else {}),
    }


def _probes(container: Container) -> Object:
    """Ready once its first port is open.

    Nothing asks whether it is alive: the container ends with its service, and a database that is slow to
    recover is not to be killed for that. The look at the port makes no connection, which daemons count as
    failed log-ins.
    """
    if container.probe_path:
        probe: Object = {"httpGet": {"path": container.probe_path, "port": container.probe_port}}
    elif container.check:
        probe = {"exec": {"command": literal(container.check)}}
    elif container.probe_port:
        probe = {"tcpSocket": {"port": container.probe_port}}
    else:
        return {}
    return {
        "readinessProbe": {**probe, "periodSeconds": min(container.check_seconds, 10), "timeoutSeconds": 5}
    }


def _resources(machine: Machine, container: Container) -> Object:
    """The machine's limits for each container, its reservations in equal parts.

    Without a request Kubernetes takes the limit for one: a pod of nine services would ask for nine machines.
    """
    given = container.resources
    found, count = (machine.resources, len(machine.containers)) if given is None else (given, 1)
    limits: Object = {}
    requests: Object = {}
    if found.cpus is not None:
        limits["cpu"] = f"{round(found.cpus * 1000)}m"
    if found.memory_bytes is not None:
        limits["memory"] = f"{found.memory_bytes // MIB}Mi"
    if limits or found.cpus_reserved:
        requests["cpu"] = f"{round(found.cpus_reserved * 1000 / count)}m"
    if limits or found.memory_reserved_bytes:
        requests["memory"] = f"{found.memory_reserved_bytes // MIB // count}Mi"
    resources = {key: value for key, value in (("limits", limits), ("requests", requests)) if value}
    return {"resources": resources} if resources else {}


def _seed(machine: Machine) -> Object:
    places = [word for volume in machine.volumes for word in (volume.path, volume.name)]
    return {
        "name": "seed-volumes" if all(one.key != "seed-volumes" for one in machine.containers) else "seed",
        "image": machine.image,
        "command": literal(("/bin/sh", "-c")),
        "args": [Block(_SEED.replace("$", "$$")), "seed", *literal(places)],
        "securityContext": AS_ROOT,
        "volumeMounts": [
            {"name": volume.name, "mountPath": f"{_VOLUMES}/{volume.name}"} for volume in machine.volumes
        ],
    }


def secret_volumes(machine: Machine) -> list[Object]:
    """The volume with what was moved out of the images; the Secret is one of a machine."""
    if not any(one.secrets for one in machine.containers):
        return []
    return [{"name": "secrets", "secret": {"secretName": f"{machine.name}-secrets", "defaultMode": 0o400}}]


def architecture(machine: Machine) -> Object:
    """Which nodes can run it; 32-bit programs of PCs run on 64-bit ones."""
    known = {"386": "amd64"}.get(machine.architecture, machine.architecture)
    return {"nodeSelector": {"kubernetes.io/arch": known}} if known else {}


def container_port(port: str) -> Object:
    """``80/tcp`` as Kubernetes has it."""
    number, _, protocol = port.partition("/")
    return {"containerPort": int(number), "protocol": protocol.upper()}


def literal(words: list[str] | tuple[str, ...]) -> list[str]:
    """Words of a command as they are: Kubernetes replaces ``$(NAME)``, and reads ``$$`` as ``$``."""
    return [word.replace("$", "$$") for word in words]


def _empty(volume: Volume) -> Object:
    return {"name": volume.name, "emptyDir": {"medium": "Memory"}}


def _hostname(name: str) -> str:
    """The part of a host name that a pod can have; empty where none fits."""
    first = name.partition(".")[0].lower()
    return first if re.fullmatch(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", first) else ""


def _host_aliases(machine: Machine) -> list[Object]:
    """Names that the machine knew by itself; its own with the domain, which a pod's name has not."""
    names: dict[str, list[str]] = {}
    full = machine.hostname.lower()
    if "." in full and _hostname(full) and re.fullmatch(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+", full):
        names["127.0.1.1"] = [full]
    for name, address in machine.hosts:
        names.setdefault(address, []).append(name)
    return [{"ip": address, "hostnames": known} for address, known in names.items()]
