"""The privileges that converting VMs takes, and on which objects the logged-in account lacks them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyVmomi import vim, vmodl

from orchestrator.in_place import Transport
from orchestrator.vsphere.faults import describe
from orchestrator.vsphere.properties import of
from orchestrator.vsphere.session import Session
from orchestrator.vsphere.values import CheckResult, DatastoreInfo, VirtualMachine

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
TRANSPORT_ON_VMS: Mapping[Transport, tuple[Privilege, ...]] = {
    Transport.VDDK: (
        Privilege(
            "VirtualMachine.Provisioning.DiskRandomRead",
            "Virtual machine > Provisioning > Allow read-only disk access",
            "read disks by VDDK; without it they go by the export lease",
            blocks=False,
        ),
        Privilege(
            "VirtualMachine.Provisioning.GetVmFiles",
            "Virtual machine > Provisioning > Allow virtual machine download",
            "read disks by VDDK; without it they go by the export lease",
            blocks=False,
        ),
    )
}
"""What a transport takes beside. Source: Virtual Disk Development Kit Programming Guide, "Privileges"."""
TRANSPORT_ON_DATASTORES: Mapping[Transport, tuple[Privilege, ...]] = {
    Transport.DATASTORE: (
        Privilege(
            "Datastore.Browse",
            "Datastore > Browse datastore",
            "read disks in place; without it they go by the export lease",
            blocks=False,
        ),
        Privilege(
            "Datastore.FileManagement",
            "Datastore > Low level file operations",
            "read disks in place; without it they go by the export lease",
            blocks=False,
        ),
    )
}
"""Source: vSphere Web Services SDK Programming Guide, "HTTP Access to vSphere Server Files"."""
HOST_PRIVILEGES = (
    Privilege("System.Read", "Read-only", "keep to a budget for each host, and test its reach", blocks=False),
)
CLUSTER_PRIVILEGES = (
    Privilege("System.Read", "Read-only", "see which VMs must not be frozen together", blocks=False),
)


def on_datacenter(session: Session, moref: str, path: str) -> tuple[CheckResult, ...]:
    """Each privilege that finding the VMs takes; ``path`` is for people."""
    return tuple(_told(session, DATACENTER_PRIVILEGES, {moref: path}, vim.Datacenter, "the datacenter"))


def on_vms(
    session: Session,
    vms: Sequence[VirtualMachine],
    datastores: Iterable[DatastoreInfo],
    transport: Transport = Transport.NFC,
) -> tuple[CheckResult, ...]:
    """Each privilege that converting the VMs takes, on them and on what is around them.

    ``datastores`` are those of the datacenter that the account may read.
    """
    if not vms:
        return ()
    used = {name for vm in vms for name in vm.datastores}
    stores = {store.moref: store.name for store in datastores if store.name in used}
    unseen = used - set(stores.values())  # they bear their morefs for names
    wanted = (
        (
            VM_PRIVILEGES + TRANSPORT_ON_VMS.get(transport, ()),
            {vm.moref: vm.name for vm in vms},
            vim.VirtualMachine,
            "the VMs",
        ),
        (
            DATASTORE_PRIVILEGES + TRANSPORT_ON_DATASTORES.get(transport, ()),
            stores | {moref: moref for moref in sorted(unseen)},
            vim.Datastore,
            "their datastores",
        ),
        (HOST_PRIVILEGES, _hosts(vms), vim.HostSystem, "their hosts"),
        (CLUSTER_PRIVILEGES, _clusters(session, vms), vim.ClusterComputeResource, "their clusters"),
    )
    told = (result for asked in wanted for result in _told(session, *asked))
    return (*told, *_unseen_hosts(vms))


def _hosts(vms: Iterable[VirtualMachine]) -> dict[str, str]:
    return {vm.host.moref: vm.host.name for vm in vms if vm.host is not None}


def _unseen_hosts(vms: Iterable[VirtualMachine]) -> Iterator[CheckResult]:
    """Hosts that the account may not even see."""
    hidden = sorted(vm.name for vm in vms if vm.host is None)
    if hidden:
        (privilege,) = HOST_PRIVILEGES
        detail = f"not seen of {_some(hidden)}; needed to {privilege.purpose}"
        yield CheckResult("hosts of the VMs", False, detail, _add(privilege), privilege.blocks)


def _clusters(session: Session, vms: Iterable[VirtualMachine]) -> dict[str, str]:
    """Morefs of the clusters of the VMs' hosts, as far as the account may read those."""
    objects = [session.managed(vim.HostSystem, moref) for moref in _hosts(vms)]
    parents = of(session, objects, {vim.HostSystem: ("parent",)}, lambda row: row.get("parent"))
    found = {parent._moId for parent in parents if isinstance(parent, vim.ClusterComputeResource)}
    return {moref: moref for moref in sorted(found)}


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
    detail = f"missing on {len(lacking)} of {asked}: {_some(sorted(lacking))}; needed to {privilege.purpose}"
    return CheckResult(name, False, detail, _add(privilege), privilege.blocks)


def _add(privilege: Privilege) -> str:
    return (
        f"add {privilege.where} ({privilege.id}) to the account's role, and propagate it from the datacenter"
    )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


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
