"""The objects around a machine's pod."""

from __future__ import annotations

import re
from collections.abc import Iterator

from converters.manifests.kubernetes.pod import (
    AS_ROOT,
    POD,
    PRIORITIES,
    Object,
    architecture,
    literal,
    pod,
    priority_class,
)
from converters.manifests.machine import Machine, ScheduledJob
from converters.manifests.names import labels
from converters.manifests.volumes import Volume, VolumeKind
from converters.plan import MIB

_JOB_NAME = 52
"""Longest name of a CronJob: those of its Jobs are eleven longer."""
_STORAGE = 10 << 30
"""Bytes of a claim at least where the machine had no volume of its own for the data."""
_LARGEST = 1 << 50
"""A guest may have sparse files that claim any size."""


def workload(machine: Machine) -> Object:
    """A StatefulSet where there is data to keep, else a Deployment; one pod, as there was one machine.

    The claims are a StatefulSet's own, so that deleting the folder's objects leaves the data.
    """
    claims = [_claim(volume) for volume in _data(machine)]
    spec: Object = {
        "replicas": 1,
        "selector": {"matchLabels": _selector(machine)},
        "template": {"metadata": {"labels": _selector(machine)}, "spec": pod(machine)},
    }
    if not claims:
        return _object(machine, "apps/v1", "Deployment", {**spec, "strategy": {"type": "Recreate"}})
    spec |= {"serviceName": machine.name, "volumeClaimTemplates": claims}
    return _object(machine, "apps/v1", "StatefulSet", spec)


def services(machine: Machine) -> Iterator[Object]:
    """The Service, if anything listens for others.

    Ports of a machine answered whether or not its other services were up, so those of one service do not wait
    for the others to be ready.
    """
    if machine.ports:
        spec = {
            "selector": _selector(machine),
            "ports": [_service_port(port) for port in machine.ports],
            **({} if machine.alone else {"publishNotReadyAddresses": True}),
        }
        yield _object(machine, "v1", "Service", spec)


def cron_jobs(machine: Machine) -> Iterator[Object]:
    """A CronJob for each job whose schedule is known.

    Its pod is not the machine's: it has the data, on the machine's node, but neither its network nor sockets.
    """
    scheduled = [job for job in machine.jobs if job.schedule]
    names = labels([f"{machine.name}-{job.key}" for job in scheduled], _JOB_NAME)
    for job in scheduled:
        spec: Object = {
            "schedule": schedule(job.schedule),
            **({"timeZone": job.timezone} if job.timezone else {}),
            "concurrencyPolicy": "Forbid",
            "jobTemplate": {"spec": {"backoffLimit": 0, "template": _job_pod(machine, job)}},
        }
        yield _object(machine, "batch/v1", "CronJob", spec, names[f"{machine.name}-{job.key}"])


def priority_classes(machine: Machine) -> Iterator[Object]:
    """The machine's PriorityClass; it orders what waits, and pushes nothing out, as HA's order does."""
    if name := priority_class(machine):
        yield {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": name},
            "value": PRIORITIES[machine.resources.restart_priority],
            "preemptionPolicy": "Never",
            "description": "Of machines by the restart priority that vSphere HA had for them",
        }


def network_policy(machine: Machine) -> Object:
    """Lets in what was found to listen for others, and everything out."""
    ports = [
        {"port": int(number), "protocol": protocol.upper()}
        for number, _, protocol in (port.partition("/") for port in machine.ports)
    ]
    spec: Object = {"podSelector": {"matchLabels": _selector(machine)}, "policyTypes": ["Ingress"]}
    return _object(
        machine,
        "networking.k8s.io/v1",
        "NetworkPolicy",
        {**spec, "ingress": [{"ports": ports}] if ports else []},
    )


def disruption_budget(machine: Machine) -> Object:
    """Keeps the pod where it is until a person lets it go."""
    spec = {"maxUnavailable": 0, "selector": {"matchLabels": _selector(machine)}}
    return _object(machine, "policy/v1", "PodDisruptionBudget", spec)


def schedule(fields: str) -> str:
    """cron's fields as Kubernetes takes them: there Sunday is 0 only, while crontab(5) has 7 too."""
    *others, days = fields.split(" ")
    return " ".join((*others, ",".join(dict.fromkeys(_days(item) for item in days.split(",")))))


def _days(item: str) -> str:
    found = re.fullmatch(r"(\d)(?:-(\d)(?:/(\d+))?)?", item)
    if found is None or "7" not in (found[1], found[2]):
        return item
    last = int(found[2] or found[1])
    return ",".join(str(day % 7) for day in range(int(found[1]), last + 1, int(found[3] or 1)))


def _job_pod(machine: Machine, job: ScheduledJob) -> Object:
    data = _data(machine)
    mounts = [{"name": volume.name, "mountPath": volume.path} for volume in data]
    # The claims' names are the StatefulSet's; one node at a time may have them.
    volumes = [
        {"name": volume.name, "persistentVolumeClaim": {"claimName": f"{volume.name}-{machine.name}-0"}}
        for volume in data
    ]
    near = {"labelSelector": {"matchLabels": _selector(machine)}, "topologyKey": "kubernetes.io/hostname"}
    affinity = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [near]}}
    container: Object = {
        "name": "job",
        "image": machine.image,
        "command": literal(job.command),
        "securityContext": AS_ROOT,
        **({"volumeMounts": mounts} if mounts else {}),
    }
    spec: Object = {
        **POD,
        **architecture(machine),
        "restartPolicy": "Never",
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        **({"affinity": affinity} if data else {}),
        "containers": [container],
        **({"volumes": volumes} if volumes else {}),
    }
    return {"metadata": {"labels": _labels(machine)}, "spec": spec}


def _claim(volume: Volume) -> Object:
    size = min(volume.size or max(_STORAGE, 2 * volume.content), _LARGEST)
    return {
        "metadata": {"name": volume.name},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": f"{-(-size // MIB)}Mi"}},
        },
    }


def _service_port(port: str) -> Object:
    number, _, protocol = port.partition("/")
    return {"name": f"{protocol}-{number}", "port": int(number), "protocol": protocol.upper()}


def _data(machine: Machine) -> list[Volume]:
    return [volume for volume in machine.volumes if volume.kind is VolumeKind.DATA]


def _object(machine: Machine, version: str, kind: str, spec: Object, name: str = "") -> Object:
    metadata = {"name": name or machine.name, "labels": _labels(machine)}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def _labels(machine: Machine) -> Object:
    return {"app.kubernetes.io/part-of": machine.name}


def _selector(machine: Machine) -> Object:
    return {"app.kubernetes.io/name": machine.name}
