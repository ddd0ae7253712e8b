"""What a person has to know of a snapshot that cannot be removed, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyVmomi import vim, vmodl

from orchestrator.errors import OrchestratorError
from orchestrator.vsphere import names, snapshot_tree, storage
from orchestrator.vsphere.marker import Marker
from orchestrator.vsphere.properties import Row, one
from orchestrator.vsphere.session import Session

_FACTS = ("name", "snapshot", "layoutEx", "config.files.vmPathName")
_HOUR = 3600.0
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Stuck:
    """A snapshot that stays, as far as vCenter tells."""

    vm: str
    """Name; the moref where vCenter does not tell it."""
    moref: str
    """The VM's."""
    snapshot: str
    """Name."""
    age: float | None = None
    """Seconds since it was made; None: it is not listed."""
    grown: int = 0
    """Bytes that the VM has written to its files since."""
    datastores: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """What to say of it behind its name and the reason, with a separator; may be empty."""
        place = f" on {', '.join(self.datastores)}" if self.datastores else ""
        if self.age is None:
            return f"; its files are{place}" if place else ""
        size = f", where its files have grown to {self.grown / _MIB:,.0f} MiB" if self.grown else ""
        return f"; it has been open for {_span(self.age)}{place}{size}"

    @property
    def advice(self) -> str:
        """The steps for a person, in the vSphere client and with govc."""
        where = f"in the vSphere client, on the VM {self.vm} ({self.moref})"
        if self.age is None:
            return f"{where}: Snapshots > Consolidate"
        return (
            f"{where}: Snapshots > Manage Snapshots > {self.snapshot} > Delete, then Snapshots > Consolidate"
            f" if it is offered; or: govc snapshot.remove -vm VirtualMachine:{self.moref} {self.snapshot}"
        )


def _span(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds < 2 * _HOUR else f"{seconds / _HOUR:.1f} hours"


def look(session: Session, vm: str, marker: Marker) -> Stuck:
    """Ask vCenter, once, for what a person should know; what it does not answer is left out."""
    try:
        row = one(session, session.managed(vim.VirtualMachine, vm), _FACTS)
        return Stuck(vm, vm, marker.name) if row is None else _stuck(row, marker, session.current_time())
    except (vmodl.MethodFault, OrchestratorError):
        return Stuck(vm, vm, marker.name)


def _stuck(row: Row, marker: Marker, now: float) -> Stuck:
    node = snapshot_tree.of_job(row.get("snapshot"), marker)
    name = names.decode(row.get("name", row.moref))
    home = storage.named([row.get("config.files.vmPathName", "")])
    if node is None:
        return Stuck(name, row.moref, marker.name, datastores=home)
    files = written_since(row.get("layoutEx"), node.snapshot._moId)
    return Stuck(
        vm=name,
        moref=row.moref,
        snapshot=marker.name,
        age=max(0.0, now - node.createTime.timestamp()),
        grown=sum(file.size or 0 for file in files),
        datastores=storage.named(file.name for file in files) or home,
    )


def written_since(layout: Any, snapshot: str) -> list[Any]:
    """The files (``FileLayoutEx.FileInfo``) in a VM's ``layoutEx`` that it has got since a snapshot was made.

    Each disk is a chain of files; those that are not in the snapshot's own chain are younger.
    """
    if layout is None:
        return []
    held = {
        key
        for known in layout.snapshot
        if known.key._moId == snapshot
        for disk in known.disk
        for unit in disk.chain
        for key in unit.fileKey
    }
    if not held:
        return []
    younger = {key for disk in layout.disk for unit in disk.chain for key in unit.fileKey} - held
    return [file for file in layout.file if file.key in younger]
