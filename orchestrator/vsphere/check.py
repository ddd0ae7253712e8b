"""The parts of the pre-flight check that concern vCenter."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyVmomi import vim, vmodl

from orchestrator.skew import clock
from orchestrator.vsphere import certificate, inventory, names
from orchestrator.vsphere.faults import describe
from orchestrator.vsphere.properties import Row, below, of
from orchestrator.vsphere.rules import SnapshotLimits, datastores_refusal
from orchestrator.vsphere.session import Session
from orchestrator.vsphere.values import CheckResult, VirtualMachine

ENDS_SOON_DAYS = 14
"""A run of thousands of VMs takes days; a certificate that ends meanwhile ends the run."""
_DAY = 86400.0
_SHOWN = 5
_BATCH = 1000
"""VMs whose privileges are asked for in a call; the answer has half a KiB for each."""


@dataclass(frozen=True, slots=True)
class Privilege:
    """A privilege as the API names it."""

    id: str
    where: str
    """As the vSphere client shows it."""
    purpose: str
    blocks: bool = True
    """Whether a run must not begin without it."""


VM_PRIVILEGES = (
    Privilege("System.Read", "Read-only", "read the VM's configuration"),
    Privilege(
        "VirtualMachine.State.CreateSnapshot",
        "Virtual machine > Snapshot management > Create snapshot",
        "snapshot",
    ),
    Privilege(
        "VirtualMachine.State.RemoveSnapshot",
        "Virtual machine > Snapshot management > Remove snapshot",
        "remove the snapshot, consolidate disks",
    ),
    Privilege("VApp.Export", "vApp > Export", "open the export lease (ExportSnapshot)"),
)
"""Source: vSphere Web Services API reference, "Required Privileges" of CreateSnapshot_Task,
RemoveSnapshot_Task, ConsolidateVMDisks_Task and VirtualMachineSnapshot.ExportSnapshot."""
DATACENTER_PRIVILEGES = (Privilege("System.View", "any role", "find the VMs"), VM_PRIVILEGES[0])
DATASTORE_PRIVILEGES = (
    Privilege("System.Read", "Read-only", "see how full a datastore is before a snapshot grows on it"),
)
HOST_PRIVILEGES = (
    Privilege("System.Read", "Read-only", "keep to a budget for each host, and test its reach", blocks=False),
)
CLUSTER_PRIVILEGES = (
    Privilege("System.Read", "Read-only", "see which VMs must not be frozen together", blocks=False),
)
_SURROUNDINGS = {vim.VirtualMachine: ("runtime.host", "datastore")}


def check(
    session: Session,
    datacenter: str,
    vms: Sequence[VirtualMachine] = (),
    limits: SnapshotLimits | None = None,
) -> tuple[CheckResult, ...]:
    """Version, clock, privileges and room, in the order in which a person should mend them.

    Raises ``NotFoundError`` for an unknown datacenter.
    """
    moref, path = names.find_datacenter(inventory.datacenter_tree(session), datacenter)
    root = session.managed(vim.Datacenter, moref)
    about = session.about()
    return (
        CheckResult("vCenter", True, f"{about.name}, API {about.api_version}"),
        _trust(session),
        _clock(session),
        *_told(session, DATACENTER_PRIVILEGES, {moref: path}, vim.Datacenter, "the datacenter"),
        *privileges(session, vms),
        *_datastores(session, root, vms, limits or SnapshotLimits()),
    )


def privileges(session: Session, vms: Sequence[VirtualMachine]) -> tuple[CheckResult, ...]:
    """Each privilege that converting the VMs takes, on them, their datastores and their hosts."""
    if not vms:
        return ()
    stores, hosts = _surroundings(session, vms)
    wanted = (
        (VM_PRIVILEGES, {vm.moref: vm.name for vm in vms}, vim.VirtualMachine, "the VMs"),
        (DATASTORE_PRIVILEGES, stores, vim.Datastore, "their datastores"),
        (HOST_PRIVILEGES, hosts, vim.HostSystem, "their hosts"),
        (CLUSTER_PRIVILEGES, _clusters(session, vms), vim.ClusterComputeResource, "their clusters"),
    )
    return tuple(result for asked in wanted for result in _told(session, *asked))


def _surroundings(session: Session, vms: Sequence[VirtualMachine]) -> tuple[dict[str, str], dict[str, str]]:
    """Morefs of the VMs' datastores and hosts: an inventory has only those that the account may read."""

    def refers(row: Row) -> tuple[set[str], set[str]]:
        host = row.get("runtime.host")
        return {store._moId for store in row.get("datastore", ())}, {host._moId} if host else set()

    objects = [session.managed(vim.VirtualMachine, vm.moref) for vm in vms]
    rows = of(session, objects, _SURROUNDINGS, refers)
    stores = {moref for found, _ in rows for moref in found}
    hosts = {vm.host.moref: vm.host.name for vm in vms if vm.host is not None}
    unseen = {moref for _, found in rows for moref in found} - hosts.keys()
    return {moref: moref for moref in sorted(stores)}, hosts | {moref: moref for moref in sorted(unseen)}


def _clusters(session: Session, vms: Iterable[VirtualMachine]) -> dict[str, str]:
    """Morefs of the clusters of the VMs' hosts, as far as the account may read those."""
    hosts = sorted({vm.host.moref for vm in vms if vm.host is not None})
    objects = [session.managed(vim.HostSystem, moref) for moref in hosts]
    parents = of(session, objects, {vim.HostSystem: ("parent",)}, lambda row: row.get("parent"))
    found = {parent._moId for parent in parents if isinstance(parent, vim.ClusterComputeResource)}
    return {moref: moref for moref in sorted(found)}


def _trust(session: Session) -> CheckResult:
    settings = session.settings
    trusted = bool(settings.thumbprint) or not settings.insecure
    how = "pinned by thumbprint" if settings.thumbprint else "verified by its CA"
    found = [how if trusted else "not verified"]
    remedies = [] if trusted else ["give --ca-file (GOVC_TLS_CA_CERTS) or --thumbprint, not --insecure"]
    try:
        shown = certificate.validity(settings.host, settings.port)
    except OSError as error:
        shown = certificate.Validity(None, f"cannot be looked at: {error}")
    if shown.problem:
        found.append(shown.problem)
    elif shown.until is not None:
        days = int((shown.until - time.time()) // _DAY)
        found.append(f"valid for {days} more days")
        if days < ENDS_SOON_DAYS:
            remedies.append("replace vCenter's certificate before it ends: calls then fail")
    return CheckResult("certificate", not remedies, ", ".join(found), "; ".join(remedies), blocks=False)


def _clock(session: Session) -> CheckResult:
    before = time.time()
    skew = session.current_time() - (before + time.time()) / 2
    return clock("clock", skew, "vCenter's clock", "this machine's")


def _told(
    session: Session, wanted: Sequence[Privilege], objects: Mapping[str, str], kind: Any, what: str
) -> Iterator[CheckResult]:
    """A line for each privilege on the ``objects``, names by moref."""
    if not objects:
        return
    try:
        held = _held(session, wanted, [session.managed(kind, moref) for moref in objects])
    except vmodl.MethodFault as fault:
        detail = f"vCenter does not tell: {describe(fault)}"
        yield CheckResult(f"privileges on {what}", False, detail, "ask for System.Read")
        return
    for privilege in wanted:
        yield _verdict(privilege, what, objects, held)


def _verdict(
    privilege: Privilege, what: str, objects: Mapping[str, str], held: Mapping[str, frozenset[str]]
) -> CheckResult:
    name, asked = f"{privilege.id} on {what}", len(held)
    lacking = [objects[moref] for moref, granted in held.items() if privilege.id not in granted]
    if not lacking:
        return CheckResult(name, True, f"held on {asked} of {asked}")
    shown = ", ".join(sorted(lacking)[:_SHOWN]) + (
        f" and {len(lacking) - _SHOWN} more" if len(lacking) > _SHOWN else ""
    )
    return CheckResult(
        name,
        False,
        f"missing on {len(lacking)} of {asked}: {shown}; needed to {privilege.purpose}",
        f"add {privilege.where} ({privilege.id}) to the account's role, and propagate it from the datacenter",
        privilege.blocks,
    )


def _held(session: Session, wanted: Sequence[Privilege], objects: list[Any]) -> dict[str, frozenset[str]]:
    """Moref → ids of the wanted privileges that the logged-in account holds there; without what is gone."""
    found: dict[str, frozenset[str]] = {}
    for at in range(0, len(objects), _BATCH):
        for answer in _ask(session, wanted, objects[at : at + _BATCH]):
            granted = (entry.privId for entry in answer.privAvailability if entry.isGranted)
            found[answer.entity._moId] = frozenset(granted)
    return found


def _ask(session: Session, wanted: Sequence[Privilege], objects: list[Any]) -> Sequence[Any]:
    ids = [privilege.id for privilege in wanted]
    while objects:
        try:
            answers: Sequence[Any] = session.content.authorizationManager.HasUserPrivilegeOnEntities(
                objects, session.user_name, ids
            )
            return answers
        except vmodl.fault.ManagedObjectNotFound as fault:
            there = [one for one in objects if fault.obj is None or one._moId != fault.obj._moId]
            if len(there) == len(objects):
                raise
            objects = there  # one that was deleted meanwhile must not hide the others' answers
    return ()


def _datastores(
    session: Session, root: Any, vms: Sequence[VirtualMachine], limits: SnapshotLimits
) -> Iterator[CheckResult]:
    paths = {vim.Datastore: inventory.SURROUNDINGS[vim.Datastore]}
    used = {name for vm in vms for name in vm.datastores}
    for store in sorted(below(session, root, paths, inventory.datastore), key=lambda store: store.name):
        if vms and store.name not in used:
            continue
        problem = datastores_refusal([store], limits)
        yield CheckResult(
            f"datastore {store.name}",
            problem is None,
            problem[1] if problem else f"{store.free / max(store.capacity, 1):.0%} free",
            "free space, or lower --datastore-free; its VMs get no snapshot until then" if problem else "",
            blocks=False,
        )
