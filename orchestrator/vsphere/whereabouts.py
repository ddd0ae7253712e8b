"""Where some VMs are at this moment, and what room their datastores have; for hundreds in few calls."""

from __future__ import annotations

from collections.abc import Iterable

from pyVmomi import vim

from orchestrator.vsphere import names, storage
from orchestrator.vsphere.inventory import (
    DISK_DEVICES,
    DISKS,
    SURROUNDINGS,
    datastore,
    disks_of,
    host_of,
    moref,
    store_name,
    stores_of,
)
from orchestrator.vsphere.properties import Row, of
from orchestrator.vsphere.session import Session
from orchestrator.vsphere.values import Placement, Whereabouts

PLACE = {vim.VirtualMachine: ("name", "runtime.host", "datastore")}


def whereabouts(session: Session, vms: Iterable[str]) -> Whereabouts:
    """Where the VMs with these morefs are now, and to which datastores they write.

    Two calls to vCenter for up to 500 of them, and one more for those on several datastores.
    """
    listed = [session.managed(vim.VirtualMachine, vm) for vm in vms]
    rows = of(session, listed, PLACE, lambda row: row)
    several = [session.managed(vim.VirtualMachine, row.moref) for row in rows if len(stores_of(row)) > 1]
    spread = {row.moref: row for row in of(session, several, DISKS, lambda row: row, items=DISK_DEVICES)}
    around = {
        found._moId: found
        for row in rows
        for found in (row.get("runtime.host"), *stores_of(row))
        if found is not None
    }
    known = {kind: SURROUNDINGS[kind] for kind in (vim.HostSystem, vim.Datastore)}
    found = of(session, around.values(), known, lambda row: row)
    hosts = {row.moref: host_of(row) for row in found if issubclass(row.kind, vim.HostSystem)}
    stores = {row.moref: datastore(row) for row in found if issubclass(row.kind, vim.Datastore)}

    def datastores(row: Row) -> tuple[str, ...]:
        known = tuple(store_name(stores, store) for store in stores_of(row))
        files = spread.get(row.moref)
        return known if files is None else storage.written(known, files, disks_of(files))

    return Whereabouts(
        tuple(
            Placement(
                vm=row.moref,
                name=names.decode(row.get("name", row.moref)),
                host=hosts.get(moref(row.get("runtime.host"))),
                datastores=datastores(row),
            )
            for row in rows
        ),
        tuple(stores.values()),
    )
