"""The VMs, hosts and datastores of one datacenter, for thousands of VMs in few calls; values only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from pyVmomi import vim

from orchestrator.vsphere import devices, holders, names, storage
from orchestrator.vsphere.availability import availability
from orchestrator.vsphere.properties import Row, below, inside, of, restarted, view
from orchestrator.vsphere.session import Session
from orchestrator.vsphere.snapshot_tree import nodes as tree_nodes
from orchestrator.vsphere.values import (
    Allocation,
    DatastoreInfo,
    DiskDevice,
    HostInfo,
    Inventory,
    RestartPriority,
    VirtualMachine,
)

_NEEDED = "runtime.consolidationNeeded"
TREE = {
    vim.Folder: ("name", "parent"),
    vim.Datacenter: ("name", "parent"),
    vim.VirtualApp: ("name", "parent", "parentFolder"),
}
SURROUNDINGS = {
    vim.HostSystem: ("name", "parent", "summary.hardware.cpuMhz", "runtime.connectionState"),
    vim.Datastore: ("name", "summary.capacity", "summary.freeSpace", "summary.accessible"),
    vim.Network: ("name",),
    vim.ClusterComputeResource: ("configurationEx",),
}
VM = {
    vim.VirtualMachine: (
        "name",
        "parent",
        "parentVApp",
        "runtime.powerState",
        "runtime.connectionState",
        "runtime.host",
        _NEEDED,
        "runtime.faultToleranceState",
        "config.template",
        "config.instanceUuid",
        "config.guestId",
        "config.guestFullName",
        "config.annotation",
        "config.managedBy",
        "config.cpuAllocation",
        "config.memoryAllocation",
        "config.hardware.numCPU",
        "config.hardware.memoryMB",
        "guest.guestFamily",
        "guest.toolsRunningStatus",
        "datastore",
        "network",
        "snapshot",
        "summary.storage.committed",
    )
}
DISKS = {vim.VirtualMachine: ("config.hardware.device", *storage.FOLDERS)}
DISK_DEVICES = {"config.hardware.device": devices.NEEDED}
NO_FT = ("notConfigured", None)
TOOLS_RUNNING = ("guestToolsRunning", "guestToolsExecutingScripts")


def datacenter_tree(session: Session) -> dict[str, names.Node]:
    """Folders, datacenters and vApps of the whole vCenter by moref."""
    root = session.content.rootFolder
    tree = dict(below(session, root, TREE, _node))
    tree[root._moId] = names.Node("", None)
    return tree


def read(session: Session, datacenter: str) -> Inventory:
    """Everything of one datacenter but the VMs' disks; sorted by folder, name and moref.

    Raises ``NotFoundError`` for a datacenter that vCenter does not have.
    """
    before = session.round_trips
    tree = datacenter_tree(session)
    moref, path = names.find_datacenter(tree, datacenter)
    root = session.managed(vim.Datacenter, moref)

    def attempt() -> tuple[Surroundings, list[VirtualMachine]]:
        with view(session, root, [*SURROUNDINGS, *VM]) as found:
            rows = inside(session, found, SURROUNDINGS, lambda row: row)
            around = Surroundings(tree, tree[moref].name, rows)
            return around, inside(session, found, VM, around.vm)

    around, vms = restarted(session, attempt)
    return Inventory(
        datacenter=around.datacenter,
        datacenter_path=path,
        vms=tuple(sorted(vms, key=lambda vm: (vm.folder, vm.name, vm.moref))),
        hosts=tuple(sorted(around.hosts.values(), key=lambda host: host.name)),
        datastores=tuple(sorted(around.datastores.values(), key=lambda store: store.name)),
        anti_affinity=around.availability.anti_affinity,
        round_trips=session.round_trips - before,
    )


def describe(session: Session, vms: Iterable[VirtualMachine]) -> tuple[VirtualMachine, ...]:
    """The VMs with their disks, in the same order; those that are gone are left out.

    Of their datastores those stay that they write to.
    """
    wanted = {vm.moref: vm for vm in vms}
    objects = [session.managed(vim.VirtualMachine, vm) for vm in wanted]

    def described(row: Row) -> tuple[str, VirtualMachine]:
        vm, found = wanted[row.moref], disks_of(row)
        return row.moref, replace(vm, disks=found, datastores=storage.written(vm.datastores, row, found))

    found = dict(of(session, objects, DISKS, described, items=DISK_DEVICES))
    return tuple(found[vm] for vm in wanted if vm in found)


class Surroundings:
    """What a VM refers to by moref: folders, hosts, clusters, datastores, networks."""

    def __init__(self, tree: Mapping[str, names.Node], datacenter: str, rows: Iterable[Row]) -> None:
        self.tree = tree
        self.datacenter = datacenter
        self.hosts: dict[str, HostInfo] = {}
        self.datastores: dict[str, DatastoreInfo] = {}
        self._host_cluster: dict[str, str] = {}
        self._networks: dict[str, str] = {}
        configurations: dict[str, Any] = {}
        for row in rows:
            if issubclass(row.kind, vim.HostSystem):
                self.hosts[row.moref] = host_of(row)
                if (parent := row.get("parent")) is not None:
                    self._host_cluster[row.moref] = parent._moId
            elif issubclass(row.kind, vim.Datastore):
                self.datastores[row.moref] = datastore(row)
            elif issubclass(row.kind, vim.Network):
                self._networks[row.moref] = names.decode(row.get("name", row.moref))
            elif (config := row.get("configurationEx")) is not None:
                configurations[row.moref] = config
        self.availability = availability(configurations)

    def vm(self, row: Row) -> VirtualMachine:
        """One VM as a value; what is unset, as on a disconnected or inaccessible VM, is empty or zero."""
        get = row.get
        host = moref(get("runtime.host"))
        ha = self.availability.clusters.get(self._host_cluster.get(host, ""))
        managed_by = get("config.managedBy")
        return VirtualMachine(
            moref=row.moref,
            name=names.decode(get("name", row.moref)),
            folder=names.folder_path(self.tree, moref(get("parent") or get("parentVApp"))),
            datacenter=self.datacenter,
            instance_uuid=get("config.instanceUuid", ""),
            power_state=get("runtime.powerState", "poweredOff"),
            connection_state=get("runtime.connectionState", "disconnected"),
            guest_id=get("config.guestId", ""),
            guest_family=get("guest.guestFamily", ""),
            guest_full_name=get("config.guestFullName", ""),
            template=get("config.template", False),
            tools_running=get("guest.toolsRunningStatus") in TOOLS_RUNNING,
            host=self.hosts.get(host),
            datastores=tuple(store_name(self.datastores, store) for store in stores_of(row)),
            cpus=get("config.hardware.numCPU", 0),
            memory_mib=get("config.hardware.memoryMB", 0),
            cpu=_allocation(get("config.cpuAllocation")),
            memory=_allocation(get("config.memoryAllocation")),
            restart_priority=ha.priority(row.moref) if ha else RestartPriority.MEDIUM,
            ha=ha is not None and ha.enabled,
            used_bytes=get("summary.storage.committed", 0),
            snapshots=tuple(node.name for node in tree_nodes(get("snapshot"))),
            backup=holders.backup(get("snapshot")),
            consolidation_needed=None if _NEEDED in row.withheld else bool(get(_NEEDED)),
            fault_tolerance=get("runtime.faultToleranceState") not in NO_FT,
            managed_by=managed_by.extensionKey if managed_by else "",
            annotation=get("config.annotation", ""),
            networks=tuple(self._networks.get(found._moId, found._moId) for found in get("network", ())),
        )


def store_name(stores: Mapping[str, DatastoreInfo], store: Any) -> str:
    """A datastore's name; where the account may not read it, its moref: budgets need to know it apart."""
    known = stores.get(store._moId)
    return known.name if known is not None else str(store._moId)


def moref(found: Any) -> str:
    """The moref of a managed object; empty for None."""
    return found._moId if found is not None else ""


def _node(row: Row) -> tuple[str, names.Node]:
    parent = row.get("parentFolder") or row.get("parent")
    is_datacenter = issubclass(row.kind, vim.Datacenter)
    return row.moref, names.Node(names.decode(row.get("name", "")), moref(parent) or None, is_datacenter)


def host_of(row: Row) -> HostInfo:
    return HostInfo(
        moref=row.moref,
        name=row.get("name", row.moref),
        cpu_mhz=row.get("summary.hardware.cpuMhz", 0),
        connected=row.get("runtime.connectionState") == "connected",
    )


def datastore(row: Row) -> DatastoreInfo:
    """A datastore's row, with the paths that ``SURROUNDINGS`` names."""
    return DatastoreInfo(
        moref=row.moref,
        name=names.decode(row.get("name", row.moref)),
        capacity=row.get("summary.capacity", 0),
        free=row.get("summary.freeSpace", 0),
        accessible=row.get("summary.accessible", False),
    )


def _allocation(found: Any) -> Allocation:
    if found is None:
        return Allocation()
    limit = found.limit if found.limit is not None and found.limit >= 0 else None
    return Allocation(found.reservation or 0, limit, found.shares.shares if found.shares else 0)


def stores_of(row: Row) -> tuple[Any, ...]:
    """Every datastore that vCenter lists as the VM's, those that it only reads included."""
    return tuple(row.get("datastore", ()))


def disks_of(row: Row) -> tuple[DiskDevice, ...]:
    return devices.disks(row.get("config.hardware.device", ()))
