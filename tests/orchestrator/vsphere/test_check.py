from __future__ import annotations

from dataclasses import replace

import pytest

from deploy.demo.simulator import Simulator
from orchestrator.errors import NotFoundError
from orchestrator.vsphere import check
from orchestrator.vsphere.client import VCenter
from orchestrator.vsphere.session import Session, connect
from orchestrator.vsphere.settings import VCenterSettings
from orchestrator.vsphere.values import CheckResult


def by_name(results: tuple[CheckResult, ...]) -> dict[str, CheckResult]:
    assert len({result.name for result in results}) == len(results)
    return {result.name: result for result in results}


def test_all_is_well(vcenter: VCenter) -> None:
    inventory = vcenter.inventory("DC0")
    found = by_name(vcenter.check("DC0", [vm for vm in inventory.vms if vm.name == "twin"]))
    assert all(result.ok and result.remedy == "" for result in found.values())
    assert {
        "vCenter",
        "certificate",
        "clock",
        "System.Read on the VMs",
        "VirtualMachine.State.CreateSnapshot on the VMs",
        "VirtualMachine.State.RemoveSnapshot on the VMs",
        "VApp.Export on the VMs",
        "datastore datastore-0",
    } <= found.keys()


def test_each_missing_privilege_is_named_with_where_to_add_it(vcenter: VCenter, simulator: Simulator) -> None:
    vms = vcenter.inventory("DC0").vms
    simulator.change(denied_privileges=["VApp.Export"])
    found = by_name(vcenter.check("DC0", vms))
    lacking = found["VApp.Export on the VMs"]
    assert not lacking.ok
    assert f"missing on {len(vms)} of {len(vms)}" in lacking.detail
    assert "vApp > Export (VApp.Export)" in lacking.remedy
    assert found["VirtualMachine.State.CreateSnapshot on the VMs"].ok


def test_a_thousand_vms_are_asked_about_in_few_calls(vcenter: VCenter, simulator: Simulator) -> None:
    vms = vcenter.inventory("Big").vms
    simulator.forget_calls()
    assert all(result.ok for result in vcenter.check("Big", vms))
    assert simulator.count("HasUserPrivilegeOnEntities") == 2


def test_a_full_datastore_is_told_when_a_vm_uses_it(vcenter: VCenter) -> None:
    vms = vcenter.inventory("DC0").vms
    cramped = by_name(vcenter.check("DC0", [vm for vm in vms if vm.name == "cramped"]))
    assert not cramped["datastore full"].ok
    assert "5.0% free" in cramped["datastore full"].detail
    assert "datastore full" not in by_name(vcenter.check("DC0", [vm for vm in vms if vm.name == "off"]))


def test_trust_in_anyone_is_told(settings: VCenterSettings) -> None:
    with connect(replace(settings, ca_files=(), insecure=True)) as session:
        found = by_name(check.check(session, "DC0"))
    assert not found["certificate"].ok
    assert "--ca-file" in found["certificate"].remedy


def test_a_clock_that_is_off_is_told(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "SKEW_SECONDS", -1.0)
    found = by_name(check.check(session, "DC0"))
    assert not found["clock"].ok
    assert "NTP" in found["clock"].remedy


def test_an_unknown_datacenter(vcenter: VCenter) -> None:
    with pytest.raises(NotFoundError, match="there are:"):
        vcenter.check("DC9")
