from __future__ import annotations

import pickle
import time
from collections.abc import Callable

import pytest

from deploy.demo.simulator import Rule, Simulator
from orchestrator.vsphere.api import VCenterApi
from orchestrator.vsphere.client import VCenter
from orchestrator.vsphere.marker import Marker, may_sweep, parse_marker
from orchestrator.vsphere.settings import VCenterSettings
from orchestrator.vsphere.values import QuiescePolicy
from tests.waiting import until


def convert(vcenter: VCenterApi, vm: str, marker: Marker) -> int:
    """What a job does, typed by the protocol; the bytes its disks have."""
    snapshot = vcenter.create_snapshot(vm, marker, QuiescePolicy.PREFER)
    try:
        lease = vcenter.open_lease(snapshot)
        size = sum(disk.capacity for disk in lease.disks)
        vcenter.report_progress(lease, size)
        vcenter.complete_lease(lease)
    finally:
        vcenter.remove_snapshot(snapshot)
    return size


def test_a_job_leaves_the_vcenter_as_it_was(
    settings: VCenterSettings, simulator: Simulator, moref: Callable[[str], str], marker: Marker
) -> None:
    before = (simulator.vms(), simulator.snapshots())
    with VCenter(settings) as vcenter:
        assert convert(vcenter, moref("web/1"), marker) == 3 << 30
        assert vcenter.about().name.startswith("VMware vCenter Server")
        assert abs(vcenter.current_time() - marker.expires) < 7200
    assert (simulator.vms(), simulator.snapshots()) == before
    assert simulator.leases().open == ()


def test_a_sweep_takes_what_a_killed_run_left(
    vcenter: VCenter, simulator: Simulator, moref: Callable[[str], str], marker: Marker
) -> None:
    left = vcenter.create_snapshot(moref("twin"), marker, QuiescePolicy.PREFER)
    others = Marker("ledger-2", marker.run, marker.job, marker.expires)
    foreign = vcenter.create_snapshot(moref("off"), others, QuiescePolicy.PREFER)
    swept = [
        found
        for found in vcenter.own_snapshots()
        if may_sweep(parse_marker(found.description), "ledger-1", ())
    ]
    assert swept == [left]
    vcenter.remove_snapshot(left)
    assert [found.moref for found in simulator.snapshots() if found.name == foreign.name] == [foreign.moref]
    vcenter.remove_snapshot(foreign)


def test_closing_twice_is_harmless(settings: VCenterSettings) -> None:
    vcenter = VCenter(settings)
    vcenter.close()
    vcenter.close()


def test_credentials_do_not_leave_the_process(vcenter: VCenter) -> None:
    with pytest.raises(TypeError):
        pickle.dumps(vcenter)


def test_whoever_leaves_in_haste_logs_out_all_the_same(
    settings: VCenterSettings, simulator: Simulator
) -> None:
    vcenter = VCenter(settings)
    begun = time.monotonic()
    vcenter.leave(5.0)
    assert time.monotonic() - begun < 5.0
    assert simulator.sessions() == []


def test_a_vcenter_that_does_not_answer_holds_nobody_up(
    settings: VCenterSettings, simulator: Simulator
) -> None:
    vcenter = VCenter(settings)
    simulator.inject(Rule("Logout", delay_ms=1500))
    begun = time.monotonic()
    vcenter.leave(0.2)
    assert time.monotonic() - begun < 1.0
    until(lambda: simulator.sessions() == [])
