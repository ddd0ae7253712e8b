"""Pods on a node of Kubernetes, by the names of their logs, and containers of containerd alone.

A pod is its cluster's: what runs on a node is known there, so names are enough here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from converters.guest.containers.values import Engine, ExistingContainer
from converters.guest.files import GuestFiles, printable

_LOGS = "/var/log/pods"
_STATIC = "/etc/kubernetes/manifests"
_NODES = ("/var/lib/kubelet/pods", "/var/lib/rancher/k3s/agent", "/var/lib/k0s/kubelet", "/var/snap/microk8s")
_CONTAINERD = "/var/lib/containerd/io.containerd.metadata.v1.bolt/meta.db"
_POD = re.compile(
    r"/var/log/pods/([a-z0-9.-]{1,100})_([a-z0-9.-]{1,253})_[0-9a-f-]{8,64}/([a-z0-9.-]{1,100})"
)
_MOST_ENTRIES = 20_000
_MOST = 500


def kubernetes_containers(files: GuestFiles) -> Iterator[ExistingContainer]:
    """Containers of pods; the node itself where nothing tells of a pod."""
    pods = [f"{_LOGS}/{name}" for name, _ in files.some_below(_LOGS, _MOST_ENTRIES)]
    found = [_of_pod(path, pod) for path in pods if (pod := _POD.fullmatch(path))]
    if not found:
        static = [f"{_STATIC}/{name}" for name, _ in files.some_below(_STATIC, _MOST_ENTRIES)]
        found = [_node(path) for path in static if path.endswith((".yaml", ".yml"))]
    if not found:
        found = [_node(path) for path in _NODES if files.is_directory(path)][:1]
    yield from found[:_MOST]


def _of_pod(path: str, pod: re.Match[str]) -> ExistingContainer:
    return ExistingContainer(Engine.KUBERNETES, pod[3], "", printable(path), project=f"{pod[1]}/{pod[2]}")


def _node(path: str) -> ExistingContainer:
    return ExistingContainer(Engine.KUBERNETES, printable(path.rpartition("/")[2]), "", printable(path))


def containerd_containers(files: GuestFiles) -> Iterator[ExistingContainer]:
    """containerd's database as one: who made its containers has their names."""
    if files.is_file(_CONTAINERD):
        yield ExistingContainer(Engine.CONTAINERD, "(all)", "", _CONTAINERD)
