"""The privileges that converting VMs takes, asked for before the first snapshot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from deploy.demo.simulator import Simulator
from orchestrator.vsphere.client import VCenter
from orchestrator.vsphere.values import VirtualMachine


def test_each_is_told_by_name(
    vcenter: VCenter, simulator: Simulator, vm: Callable[[str], VirtualMachine]
) -> None:
    simulator.change(denied_privileges=["VirtualMachine.State.RemoveSnapshot"])
    told = {
        result.name: result.ok
        for result in vcenter.privileges([vm("off"), vm("pinned")], vcenter.inventory("DC0").datastores)
    }
    assert told == {
        "System.Read on the VMs": True,
        "VirtualMachine.State.CreateSnapshot on the VMs": True,
        "VirtualMachine.State.RemoveSnapshot on the VMs": False,
        "VApp.Export on the VMs": True,
        "System.Read on their datastores": True,
        "System.Read on their hosts": True,
        "System.Read on their clusters": True,
    }


def test_a_vm_that_was_deleted_meanwhile_hides_no_answer(
    vcenter: VCenter, simulator: Simulator, vm: Callable[[str], VirtualMachine]
) -> None:
    simulator.change(denied_privileges=["VApp.Export"])
    gone = replace(vm("off"), moref="vm-999999", name="gone")
    told = vcenter.privileges([gone, vm("pinned")], ())
    export = next(result for result in told if result.name.startswith("VApp.Export"))
    assert export.detail.startswith("missing on 1 of 1: pinned;")


def test_nothing_is_asked_about_no_vm(vcenter: VCenter, simulator: Simulator) -> None:
    simulator.forget_calls()
    assert vcenter.privileges([], ()) == ()
    assert simulator.count("HasUserPrivilegeOnEntities") == 0
