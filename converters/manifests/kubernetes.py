"""Kubernetes manifests for one machine: a pod of its services, a Service, volumes with content, CronJobs.

The services of a machine share a pod, so that they find each other at localhost as on the machine; the
containers differ by image only. Kubernetes' API reference, v1.28 on; values are checked against its schemas.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import yaml

from converters.entrypoint import INIT
from converters.guest.facts import DataDirectory
from converters.image.names import repository_names
from converters.manifests.shared import shared_directories
from converters.manifests.yaml_text import comment
from converters.plan import MIB, ImagePlan, ServicePlan
from converters.request import ServiceImage

_LABEL = 63
"""Longest name of a container, a volume or a label's value (RFC 1123)."""
_JOB_NAME = 52
"""Longest name of a CronJob: those of its Jobs are eleven longer."""
_LONGEST_STOP = 3600
_KILL_SECONDS = 5
_SEED = "/.orchestrate/volume"
_STORAGE = "10Gi"

Object = dict[str, Any]


def kubernetes(plan: ImagePlan, reference: str, services: Sequence[ServiceImage] = ()) -> str:
    """The manifests that run a machine's images as the machine ran, as one YAML text.

    One image gives the same text each time.

    Args:
        reference: the machine's own image by digest.
        services: the images of its services, in the same repository, where it has several.
    """
    repository = reference.partition("@")[0]
    name = _name(repository.rpartition("/")[2].partition(":")[0], _LABEL)
    images = {service.name: f"{repository}@{service.digest}" for service in services}
    machine = _Machine(plan, name, reference, images)
    objects = [*machine.service(), machine.workload(), *machine.cron_jobs()]
    head = "".join(f"# {comment(line)}\n" for line in (f"Machine {plan.name}.", *plan.notes))
    return head + "---\n".join(
        yaml.safe_dump(one, sort_keys=False, allow_unicode=True, width=110) for one in objects
    )


class _Machine:
    """One machine's objects."""

    def __init__(self, plan: ImagePlan, name: str, reference: str, images: dict[str, str]) -> None:
        self._plan, self._name, self._reference = plan, name, reference
        self._labels = {"app.kubernetes.io/name": name}
        self._services = [one for one in plan.services if plan.service or one.name in images]
        self._images = images
        names = repository_names([(one.name, one.name) for one in self._services])
        self._keys = {one.name: _name(names[one.name], _LABEL) for one in self._services}
        self._shared = shared_directories(plan) if len(self._services) > 1 else ()

    def service(self) -> Iterable[Object]:
        """The Service, if anything listens for others."""
        ports = dict.fromkeys(port for one in self._services for port in one.run.exposed_ports)
        if ports:
            spec = {"selector": self._labels, "ports": [_service_port(port) for port in ports]}
            yield self._object("v1", "Service", spec)

    def workload(self) -> Object:
        """A StatefulSet where there is data to keep, else a Deployment; one pod, as there was one machine."""
        data = [(one, kept) for one in self._services for kept in one.data]
        pod = self._pod(data)
        spec: Object = {
            "replicas": 1,
            "selector": {"matchLabels": self._labels},
            "template": {"metadata": {"labels": self._labels}, "spec": pod},
        }
        if not data:
            return self._object("apps/v1", "Deployment", {**spec, "strategy": {"type": "Recreate"}})
        claims = [self._claim(one, kept) for one, kept in data]
        return self._object(
            "apps/v1", "StatefulSet", {"serviceName": self._name, **spec, "volumeClaimTemplates": claims}
        )

    def cron_jobs(self) -> Iterable[Object]:
        """A CronJob for each job whose schedule is known."""
        for job in self._plan.jobs:
            if not job.schedule:
                continue
            container = {
                "name": "job",
                "image": self._reference,
                "command": [INIT, job.path],
            }
            pod = {"restartPolicy": "Never", "containers": [container], **_POD}
            spec: Object = {
                "schedule": job.schedule,
                **({"timeZone": job.timezone} if job.timezone else {}),
                "concurrencyPolicy": "Forbid",
                "jobTemplate": {
                    "spec": {"template": {"metadata": {"labels": _labels(self._name)}, "spec": pod}}
                },
            }
            name = _name(f"{self._name}-{job.name}", _JOB_NAME)
            yield {**self._object("batch/v1", "CronJob", spec), "metadata": self._metadata(name)}

    def _pod(self, data: Sequence[tuple[ServicePlan, DataDirectory]]) -> Object:
        containers = [self._container(one) for one in self._services] or [self._shell()]
        seeds = [self._seed(one, kept) for one, kept in data]
        grace = max((_grace(one) for one in self._services), default=30)
        return {
            **_POD,
            **({"hostname": host} if (host := _hostname(self._plan.hostname)) else {}),
            "terminationGracePeriodSeconds": grace,
            **({"initContainers": seeds} if seeds else {}),
            "containers": containers,
            **({"volumes": [_empty(path) for path in self._shared]} if self._shared else {}),
        }

    def _container(self, service: ServicePlan) -> Object:
        ports = [_container_port(port) for port in service.run.exposed_ports]
        mounts = [{"name": _volume(path), "mountPath": path} for path in self._shared]
        mounts += [{"name": self._claim_name(service, kept), "mountPath": kept.path} for kept in service.data]
        added = () if service.specification is None else service.specification.execution.ambient_capabilities
        capabilities = {"add": [name.removeprefix("CAP_") for name in added]}
        return {
            "name": self._keys[service.name],
            "image": self._images.get(service.name, self._reference),
            **({"ports": ports} if ports else {}),
            **self._resources(),
            **(_probes(service)),
            **({"securityContext": {"capabilities": capabilities}} if added else {}),
            **({"volumeMounts": mounts} if mounts else {}),
        }

    def _shell(self) -> Object:
        return {"name": self._name, "image": self._reference, "stdin": True, "tty": True, **self._resources()}

    def _resources(self) -> Object:
        """The machine's limits for each container, and its reservations in equal parts."""
        found, count = self._plan.resources, max(1, len(self._services))
        limits: Object = {}
        requests: Object = {}
        if found.cpus is not None:
            limits["cpu"] = f"{round(found.cpus * 1000)}m"
        if found.memory_bytes is not None:
            limits["memory"] = f"{found.memory_bytes // MIB}Mi"
        if found.cpus_reserved:
            requests["cpu"] = f"{max(1, round(found.cpus_reserved * 1000 / count))}m"
        if found.memory_reserved_bytes:
            requests["memory"] = f"{max(1, found.memory_reserved_bytes // MIB // count)}Mi"
        resources = {key: value for key, value in (("limits", limits), ("requests", requests)) if value}
        return {"resources": resources} if resources else {}

    def _seed(self, service: ServicePlan, kept: DataDirectory) -> Object:
        """Fills an empty volume with what the image has in its place, owners and modes included."""
        name = self._claim_name(service, kept)
        script = (
            f"[ -n \"$(ls -A '{_SEED}' | grep -vx lost+found)\" ] || cp -a {_quoted(kept.path)}/. '{_SEED}/'"
        )
        return {
            "name": _name(f"seed-{name}", _LABEL),
            "image": self._reference,
            "command": ["/bin/sh", "-c", script],
            "volumeMounts": [{"name": name, "mountPath": _SEED}],
        }

    def _claim(self, service: ServicePlan, kept: DataDirectory) -> Object:
        return {
            "metadata": {"name": self._claim_name(service, kept)},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": _STORAGE}},
            },
        }

    def _claim_name(self, service: ServicePlan, kept: DataDirectory) -> str:
        return _name(f"{self._keys[service.name]}-{_volume(kept.path)}", _LABEL)

    def _object(self, version: str, kind: str, spec: Object) -> Object:
        return {"apiVersion": version, "kind": kind, "metadata": self._metadata(self._name), "spec": spec}

    def _metadata(self, name: str) -> Object:
        return {"name": name, "labels": _labels(self._name)}


_POD: Object = {
    "automountServiceAccountToken": False,
    "enableServiceLinks": False,
    "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
}


def _labels(machine: str) -> Object:
    return {"app.kubernetes.io/part-of": machine}


def _probes(service: ServicePlan) -> Object:
    """Ready when its first port that others reach accepts connections."""
    tcp = [port for port in service.ports if port.protocol == "tcp" and not port.loopback]
    if not tcp:
        return {}
    return {"readinessProbe": {"tcpSocket": {"port": tcp[0].number}, "periodSeconds": 5}}


def _grace(service: ServicePlan) -> int:
    told = service.specification
    return 30 if told is None else math.ceil(told.stop_seconds or _LONGEST_STOP) + _KILL_SECONDS


def _service_port(port: str) -> Object:
    number, _, protocol = port.partition("/")
    return {"name": f"{protocol}-{number}", "port": int(number), "protocol": protocol.upper()}


def _container_port(port: str) -> Object:
    number, _, protocol = port.partition("/")
    return {"containerPort": int(number), "protocol": protocol.upper()}


def _empty(path: str) -> Object:
    return {"name": _volume(path), "emptyDir": {"medium": "Memory"}}


def _volume(path: str) -> str:
    return _name(path.strip("/"), _LABEL)


def _hostname(name: str) -> str:
    """The part of a host name that a pod can have; empty where none fits."""
    first = name.partition(".")[0].lower()
    return first if re.fullmatch(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", first) else ""


def _name(text: str, longest: int) -> str:
    """A name by RFC 1123, cut where it is too long, with a digest of what was cut or lost in its place."""
    plain = re.sub(r"[^a-z0-9-]+", "-", text.lower()).strip("-")
    if plain and len(plain) <= longest:
        return plain
    ((_, short),) = repository_names([(text, text)]).items()
    return re.sub(r"[^a-z0-9-]+", "-", short.lower())[-longest:].strip("-") or "x"


def _quoted(path: str) -> str:
    return "'" + path.replace("'", "'\\''") + "'"
