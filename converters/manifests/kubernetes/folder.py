"""The folder of a machine's manifests, and the kustomization that applies it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from converters.manifests.kubernetes import objects
from converters.manifests.kubernetes.environment import config_maps
from converters.manifests.machine import Machine
from converters.manifests.yaml_text import comment, documents, quoted

KUSTOMIZATION = "kustomization.yaml"
SECRETS = "secrets"
"""The folder in this one with what was moved out of the images, of which kustomize makes a Secret."""

_CRON_JOBS = "cronjobs.yaml"
_JOBS_APART = """\
# Each job has a pod of its own, with the machine's data but not its network: what it reached at localhost is
# at {name} here, and Unix sockets of the services are out of its reach.
"""

_HINTS = {
    "networkpolicy.yaml": "lets in the ports that were found, and no other: see whether those are all",
    "poddisruptionbudget.yaml": "keeps nodes from being drained while the machine's pod is there",
}
"""Files that are not applied before a person has decided so, and what they do."""


def kubernetes(machine: Machine) -> dict[str, str]:
    """The manifests that run a machine's images as the machine ran, by file name.

    One machine gives the same texts each time.
    """
    named = _named(machine)
    applied = {
        "configmap.yaml": list(config_maps(named)),
        "service.yaml": list(objects.services(named)),
        "workload.yaml": [objects.workload(named)],
        _CRON_JOBS: list(objects.cron_jobs(named)),
        "priorityclass.yaml": list(objects.priority_classes(named)),
    }
    files = {name: documents(found) for name, found in applied.items() if found}
    if jobs := files.get(_CRON_JOBS):
        files[_CRON_JOBS] = _JOBS_APART.format(name=named.name) + jobs
    hints = {
        "networkpolicy.yaml": documents([objects.network_policy(named)]),
        "poddisruptionbudget.yaml": documents([objects.disruption_budget(named)]),
    }
    return {KUSTOMIZATION: _kustomization(named, files), **files, **hints}


def _named(machine: Machine) -> Machine:
    """A Service's name begins with a letter (RFC 1035), a machine's may begin with a digit."""
    return replace(machine, name=f"vm-{machine.name}") if machine.name[0].isdigit() else machine


def _kustomization(machine: Machine, files: Mapping[str, str]) -> str:
    devices = sorted({one for each in machine.containers if each.privilege for one in each.privilege.devices})
    lines = [
        f"# Machine {comment(machine.title)}, {comment(machine.summary)}: kubectl apply -k .",
        *(f"# {comment(note)}" for note in machine.notes),
        *(f"# A device of the node, which takes a device plugin: {comment(device)}" for device in devices),
        "apiVersion: kustomize.config.k8s.io/v1beta1",
        "kind: Kustomization",
        "resources:",
        *(f"  - {name}" for name in files),
        *(f"#  - {name}  # {told}" for name, told in _HINTS.items()),
    ]
    if machine.secrets:
        lines += ["secretGenerator:", f"  - name: {machine.name}-secrets", "    files:"]
        lines += [f"      - {quoted(f'{SECRETS}/{name}')}" for name in machine.secrets]
    return "".join(f"{line}\n" for line in lines)
