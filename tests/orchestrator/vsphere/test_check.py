from __future__ import annotations

import datetime
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.demo import certificates
from deploy.demo.simulator import Simulator
from orchestrator.errors import NotFoundError
from orchestrator.vsphere import certificate, check
from orchestrator.vsphere.client import VCenter
from orchestrator.vsphere.session import Session, connect
from orchestrator.vsphere.settings import VCenterSettings
from orchestrator.vsphere.values import CheckResult, Grade
from tests.tls_server import tls_server


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
        "System.Read on their datastores",
        "System.Read on their hosts",
        "System.Read on their clusters",
        "datastore datastore-0",
    } <= found.keys()
    assert re.fullmatch(r"verified by its CA, valid for (29|30) more days", found["certificate"].detail)


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
    assert simulator.count("HasUserPrivilegeOnEntities") == 5, "datacenter, VMs, and what is around them"


def test_what_a_snapshot_needs_to_see_blocks_and_what_a_budget_needs_is_a_warning(
    vcenter: VCenter, simulator: Simulator
) -> None:
    vms = [vm for vm in vcenter.inventory("DC0").vms if vm.name in ("off", "cramped")]
    simulator.change(denied_privileges=["System.Read"])
    found = by_name(vcenter.check("DC0", vms))
    stores, hosts = found["System.Read on their datastores"], found["System.Read on their hosts"]
    assert stores.grade is Grade.BLOCKING and stores.detail.startswith(
        "missing on 2 of 2: datastore-0, full;"
    )
    assert "see how full a datastore is" in stores.detail
    assert hosts.grade is Grade.WARNING and "esx-" in hosts.detail


def test_what_the_account_may_not_even_see_is_told(vcenter: VCenter) -> None:
    (off,) = [vm for vm in vcenter.inventory("DC0").vms if vm.name == "off"]
    hidden = replace(off, host=None, datastores=("datastore-999999",))
    found = by_name(vcenter.privileges([hidden], ()))
    assert found["hosts of the VMs"].grade is Grade.WARNING
    assert found["hosts of the VMs"].detail.startswith("not seen of off; needed to keep to a budget")
    assert "System.Read on their hosts" not in found


def test_a_full_datastore_is_told_when_a_vm_uses_it(vcenter: VCenter) -> None:
    vms = vcenter.inventory("DC0").vms
    cramped = by_name(vcenter.check("DC0", [vm for vm in vms if vm.name == "cramped"]))
    assert cramped["datastore full"].grade is Grade.WARNING, "the other VMs can go on"
    assert "5.0% free" in cramped["datastore full"].detail
    assert "datastore full" not in by_name(vcenter.check("DC0", [vm for vm in vms if vm.name == "off"]))


def test_trust_in_anyone_is_told(settings: VCenterSettings) -> None:
    with connect(replace(settings, ca_files=(), insecure=True)) as session:
        found = by_name(check.check(session, "DC0"))
    assert found["certificate"].grade is Grade.WARNING
    assert found["certificate"].detail.startswith("not verified, valid for")
    assert "--ca-file" in found["certificate"].remedy


def test_a_certificate_that_ends_soon_is_told(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "ENDS_SOON_DAYS", 60)
    found = by_name(check.check(session, "DC0"))
    assert found["certificate"].grade is Grade.WARNING
    assert "replace vCenter's certificate" in found["certificate"].remedy


def test_a_certificate_that_is_over_is_seen_although_nothing_verifies_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificates, "_VALID", -datetime.timedelta(minutes=1))
    with tls_server(tmp_path, "127.0.0.1") as port:
        shown = certificate.validity("127.0.0.1", port)
    assert shown.problem == "certificate has expired" and shown.until is None


def test_a_clock_that_is_off_is_told(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "current_time", lambda: time.time() + 120)
    found = by_name(check.check(session, "DC0"))
    assert found["clock"].grade is Grade.WARNING
    assert "vCenter's clock is +120 s from this machine's" in found["clock"].detail
    assert "NTP" in found["clock"].remedy


def test_an_unknown_datacenter(vcenter: VCenter) -> None:
    with pytest.raises(NotFoundError, match="there are:"):
        vcenter.check("DC9")
