"""The parts of the pre-flight check that concern vCenter."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyVmomi import vim, vmodl

from orchestrator.vsphere import inventory, names
from orchestrator.vsphere.faults import describe
from orchestrator.vsphere.properties import below
from orchestrator.vsphere.rules import SnapshotLimits, datastores_refusal
from orchestrator.vsphere.session import Session
from orchestrator.vsphere.values import CheckResult, VirtualMachine

SKEW_SECONDS = 60.0
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
        *_privileges(session, DATACENTER_PRIVILEGES, {moref: path}, vim.Datacenter, "the datacenter"),
        *_privileges(
            session, VM_PRIVILEGES, {vm.moref: vm.name for vm in vms}, vim.VirtualMachine, "the VMs"
        ),
        *_datastores(session, root, vms, limits or SnapshotLimits()),
    )


def privileges(session: Session, vms: Sequence[VirtualMachine]) -> tuple[CheckResult, ...]:
    """Each privilege that converting the VMs takes. Raises ``vmodl.MethodFault``: vCenter does not tell."""
    names_of = {vm.moref: vm.name for vm in vms}
    held = _held(session, VM_PRIVILEGES, [session.managed(vim.VirtualMachine, moref) for moref in names_of])
    return tuple(_verdict(privilege, "the VMs", names_of, held) for privilege in VM_PRIVILEGES if vms)


def _trust(session: Session) -> CheckResult:
    settings = session.settings
    if settings.insecure and not settings.thumbprint:
        return CheckResult(
            "certificate",
            False,
            "not verified",
            "give --ca-file (GOVC_TLS_CA_CERTS) or --thumbprint, not --insecure",
        )
    return CheckResult(
        "certificate", True, "pinned by thumbprint" if settings.thumbprint else "verified by its CA"
    )


def _clock(session: Session) -> CheckResult:
    before = time.time()
    theirs = session.current_time()
    skew = theirs - (before + time.time()) / 2
    good = abs(skew) <= SKEW_SECONDS
    remedy = "" if good else "let both take their time from NTP: the age of snapshots is told by these clocks"
    return CheckResult("clock", good, f"vCenter is {skew:+.1f} s from this machine", remedy)


def _privileges(
    session: Session, wanted: Sequence[Privilege], objects: dict[str, str], kind: Any, what: str
) -> Iterator[CheckResult]:
    if not objects:
        return
    try:
        held = _held(session, wanted, [session.managed(kind, moref) for moref in objects])
    except vmodl.MethodFault as fault:
        yield CheckResult(
            f"privileges on {what}", False, f"vCenter does not tell: {describe(fault)}", "ask for System.Read"
        )
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
        )
