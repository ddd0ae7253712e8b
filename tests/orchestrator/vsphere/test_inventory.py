from __future__ import annotations

from collections.abc import Callable

import pytest
from pyVmomi import vim

from deploy.demo.simulator import Simulator
from orchestrator.errors import NotFoundError
from orchestrator.vsphere import inventory
from orchestrator.vsphere.client import VCenter
from orchestrator.vsphere.properties import Row
from orchestrator.vsphere.values import RestartPriority, VirtualMachine
from tests.orchestrator.vsphere.conftest import BIG, GIB, VMS

Find = Callable[[str], VirtualMachine]


def test_every_vm_of_the_datacenter_and_no_other(vcenter: VCenter) -> None:
    found = vcenter.inventory("DC0")
    assert sorted(vm.name for vm in found.vms) == sorted(machine.name for machine in VMS)
    assert {vm.datacenter for vm in found.vms} == {"DC0"}
    assert found.datacenter_path == "/DC0"


def test_names_repeat_in_different_folders(vcenter: VCenter) -> None:
    twins = [vm for vm in vcenter.inventory("DC0").vms if vm.name == "twin"]
    assert [vm.folder for vm in twins] == ["x", "y"]
    assert len({vm.moref for vm in twins}) == 2
    assert len({vm.instance_uuid for vm in twins}) == 2


def test_what_is_known_of_a_vm(vm: Find) -> None:
    web = vm("web/1")
    assert web.folder == "prod/a%25b"
    assert (web.power_state, web.connection_state, web.tools_running) == ("poweredOn", "connected", True)
    assert (web.guest_id, web.guest_family) == ("debian12_64Guest", "linuxGuest")
    assert (web.cpus, web.memory_mib, web.annotation) == (2, 2048, "shop")
    assert web.snapshots == ("before upgrade",)
    assert web.datastores == ("datastore-0",)
    assert web.host is not None
    assert web.host.cpu_mhz == {"esx-0.example.com": 2000, "esx-1.example.com": 2500}[web.host.name]
    assert web.used_bytes > 0
    assert [(disk.capacity, disk.mode) for disk in web.disks] == [
        (GIB, "persistent"),
        (2 * GIB, "persistent"),
    ]
    assert web.disks[0].file.startswith("[datastore-0] ")


def test_a_datastore_that_a_vm_only_reads_an_iso_image_of_is_not_its_own(vcenter: VCenter, vm: Find) -> None:
    listed = next(one for one in vcenter.inventory("DC0").vms if one.name == "installed")
    assert listed.datastores == ("datastore-0", "full")
    assert vm("installed").datastores == ("datastore-0",)
    cramped = vm("cramped").moref
    before = vcenter.round_trips
    found = vcenter.whereabouts([listed.moref, cramped])
    assert {place.name: place.datastores for place in found.placements} == {
        "installed": ("datastore-0",),
        "cramped": ("full",),
    }
    assert vcenter.round_trips - before == 3


def test_limits_are_none_where_there_is_none(vcenter: VCenter) -> None:
    limited, free = (vm for vm in vcenter.inventory("DC0").vms if vm.name == "twin")
    assert (limited.cpu.limit, limited.memory.limit) == (3000, 512)
    assert (free.cpu.limit, free.memory.limit) == (None, None)


def test_restart_priority_is_the_vms_own_or_the_clusters(vm: Find) -> None:
    assert vm("web/1").restart_priority is RestartPriority.HIGHEST
    assert vm("pinned").restart_priority is RestartPriority.DISABLED
    assert vm("off").restart_priority is RestartPriority.LOW
    assert vm("off").ha


def test_what_stands_in_the_way_of_a_snapshot_is_seen(vm: Find) -> None:
    assert vm("template").template
    assert vm("managed").managed_by == "com.vmware.vcls"
    assert vm("tolerant").fault_tolerance
    assert vm("unconsolidated").consolidation_needed
    assert vm("rdm").disks[0].physical_rdm
    assert vm("independent").disks[0].mode == "independent_persistent"
    assert vm("shared").disks[0].sharing
    assert vm("diskless").disks == ()
    assert not vm("toolless").tools_running
    plain = vm("off").disks[0]
    assert not (plain.physical_rdm or plain.sharing)
    assert not (vm("off").fault_tolerance or vm("off").template or vm("off").managed_by)


def test_unicode_and_escaped_names(vm: Find) -> None:
    assert vm("größe ☃ \\ 50%").guest_family == "linuxGuest"


def test_hosts_and_datastores(vcenter: VCenter) -> None:
    found = vcenter.inventory("DC0")
    assert [(host.name, host.cpu_mhz, host.connected) for host in found.hosts] == [
        ("esx-0.example.com", 2000, True),
        ("esx-1.example.com", 2500, True),
    ]
    full = next(store for store in found.datastores if store.name == "full")
    assert (full.capacity, full.free, full.accessible) == (100 * GIB, 5 * GIB, True)


@pytest.mark.parametrize("wanted", ["/north/Lab", "R/D", "R%2fD", "/R%2fD"])
def test_datacenters_by_path_and_with_escapes(vcenter: VCenter, wanted: str) -> None:
    assert vcenter.inventory(wanted).vms == ()


def test_an_unknown_datacenter_is_answered_with_the_known_ones(vcenter: VCenter) -> None:
    with pytest.raises(NotFoundError, match="/north/Lab, /south/Lab, Big, DC0, R%2fD"):
        vcenter.inventory("DC9")


def test_an_ambiguous_datacenter(vcenter: VCenter) -> None:
    with pytest.raises(NotFoundError, match="give the path of one: /north/Lab, /south/Lab"):
        vcenter.inventory("Lab")


def test_a_thousand_vms_take_few_calls(vcenter: VCenter, simulator: Simulator) -> None:
    simulator.forget_calls()
    found = vcenter.inventory("Big")
    assert len(found.vms) == BIG
    # Two views, made and destroyed; a page of the tree, one of hosts and the like, BIG / 500 of VMs.
    assert sum(call.count for call in simulator.calls()) == found.round_trips == 8
    described = vcenter.describe(found.vms)
    assert [vm.moref for vm in described] == [vm.moref for vm in found.vms]
    assert all(len(vm.disks) == 1 for vm in described)
    assert sum(call.count for call in simulator.calls()) == 10


def test_a_server_that_gives_a_hundred_objects_a_page(vcenter: VCenter, simulator: Simulator) -> None:
    whole = vcenter.inventory("Big")
    described = vcenter.describe(whole.vms)
    simulator.change(page_size=100)
    simulator.forget_calls()
    found = vcenter.inventory("Big")
    assert found.vms == whole.vms
    assert vcenter.describe(found.vms) == described
    assert sum(call.count for call in simulator.calls()) == 2 * BIG // 100 + 6


def test_a_session_that_ends_during_the_listing_loses_nothing(vcenter: VCenter, simulator: Simulator) -> None:
    simulator.end_sessions()
    assert len(vcenter.inventory("Big").vms) == BIG


def test_a_vm_whose_files_are_not_accessible_is_listed_all_the_same() -> None:
    values = {"name": "[ds] lost/lost.vmx", "runtime.connectionState": "inaccessible", "datastore": []}
    around = inventory.Surroundings({}, "DC0", [])
    found = around.vm(Row(vim.VirtualMachine, "vm-7", values))
    assert (found.moref, found.name, found.connection_state) == ("vm-7", "[ds] lost/lost.vmx", "inaccessible")
    assert (found.instance_uuid, found.guest_id, found.host, found.disks, found.used_bytes) == (
        "",
        "",
        None,
        (),
        0,
    )
    assert (found.template, found.fault_tolerance, found.cpu.limit) == (False, False, None)
