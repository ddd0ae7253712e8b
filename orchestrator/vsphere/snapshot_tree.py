"""A VM's tree of snapshots, as ``VirtualMachine.snapshot`` gives it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orchestrator.vsphere.marker import Marker, parse_marker, same_job
from orchestrator.vsphere.names import decode
from orchestrator.vsphere.values import SnapshotRef


def nodes(info: Any) -> Iterator[Any]:
    """Every node (VirtualMachineSnapshotTree), parents before children; none for None."""
    waiting = list(reversed(info.rootSnapshotList)) if info is not None else []
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(reversed(node.childSnapshotList))


def depth(info: Any) -> int:
    """Snapshots on the longest way from a root: how long the disks' chains are."""
    level = list(info.rootSnapshotList) if info is not None else []
    found = 0
    while level:
        found += 1
        level = [child for node in level for child in node.childSnapshotList]
    return found


def of_job(info: Any, marker: Marker) -> Any:
    """The node of ``marker``'s job; None when there is none, or when a person has given it another name."""
    return next((node for node in marked(info, marker) if node.name == marker.name), None)


def marked(info: Any, marker: Marker) -> Iterator[Any]:
    """The nodes whose description is that of ``marker``'s job, whatever they are called now."""
    for node in nodes(info):
        found = parse_marker(node.description or "")
        if found is not None and same_job(found, marker):
            yield node


def own(info: Any, vm_name: str = "") -> Iterator[SnapshotRef]:
    """The snapshots that carry our marker."""
    for node in nodes(info):
        if parse_marker(node.description or "") is not None:
            yield reference(node, vm_name)


def reference(node: Any, vm_name: str, note: str = "") -> SnapshotRef:
    """A node of the tree as a value."""
    return SnapshotRef(
        vm=node.vm._moId,
        moref=node.snapshot._moId,
        name=decode(node.name),
        description=node.description or "",
        created=node.createTime.timestamp(),
        quiesced=bool(node.quiesced),
        vm_name=vm_name,
        note=note,
    )
