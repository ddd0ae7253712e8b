from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
import tblib.pickling_support  # type: ignore[import-untyped]
from pyVmomi import vim

from deploy.demo.simulator import Rule, Simulator
from orchestrator.errors import GoneError, HeldError, HostAwayError, LeaseError, VCenterBusyError
from orchestrator.vsphere import lease, tasks
from orchestrator.vsphere.client import VCenter
from orchestrator.vsphere.keeper import LeaseLimits
from orchestrator.vsphere.marker import Marker
from orchestrator.vsphere.session import Session, connect
from orchestrator.vsphere.settings import VCenterSettings
from orchestrator.vsphere.values import QuiescePolicy, SnapshotRef
from tests.orchestrator.vsphere.conftest import GIB

Disk = vim.vm.device.VirtualDisk


@pytest.fixture
def taken(vcenter: VCenter, moref: Callable[[str], str], marker: Marker) -> Iterator[SnapshotRef]:
    found = vcenter.create_snapshot(moref("web/1"), marker, QuiescePolicy.PREFER)
    yield found
    vcenter.remove_snapshot(found)


def eventually(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def test_a_lease_has_the_disks_and_nothing_else(
    vcenter: VCenter, taken: SnapshotRef, simulator: Simulator
) -> None:
    opened = vcenter.open_lease(taken)
    assert [disk.capacity for disk in opened.disks] == [GIB, 2 * GIB]
    assert len({disk.device for disk in opened.disks}) == 2
    assert {disk.thumbprint for disk in opened.disks} == {simulator.thumbprint}
    assert all(disk.url.startswith("https://127.0.0.1:") for disk in opened.disks)
    assert (opened.timeout, opened.vm) == (300, taken.vm)
    completed = simulator.leases().completed
    vcenter.complete_lease(opened)
    assert simulator.leases().open == ()
    assert simulator.leases().completed == completed + 1


def test_a_star_stands_for_the_host_that_was_asked(
    vcenter: VCenter, taken: SnapshotRef, simulator: Simulator
) -> None:
    simulator.change(wildcard_host=True, thumbprint="none")
    opened = vcenter.open_lease(taken)
    vcenter.abort_lease(opened, "tried")
    assert {urlsplit(disk.url).hostname for disk in opened.disks} == {urlsplit(simulator.url).hostname}
    assert {disk.thumbprint for disk in opened.disks} == {""}


def test_a_slow_download_keeps_its_lease(vcenter: VCenter, taken: SnapshotRef, simulator: Simulator) -> None:
    simulator.change(lease_timeout=3)
    expired = simulator.leases().expired
    opened = vcenter.open_lease(taken)
    begun = time.monotonic()
    while time.monotonic() - begun < 6.5:
        vcenter.report_progress(opened, int((time.monotonic() - begun) * 1000))
        time.sleep(0.2)
    (found,) = simulator.leases().open
    assert found.reports >= 6
    vcenter.complete_lease(opened)
    assert simulator.leases().expired == expired


def test_a_download_that_stands_still_is_aborted(
    settings: VCenterSettings, taken: SnapshotRef, simulator: Simulator
) -> None:
    aborted = simulator.leases().aborted
    with VCenter(settings, lease_limits=LeaseLimits(idle=0.5)) as vcenter:
        opened = vcenter.open_lease(taken)
        for received in (10, 20, 30):
            time.sleep(0.3)
            vcenter.report_progress(opened, received)
        assert eventually(lambda: simulator.leases().open == ())
        with pytest.raises(LeaseError, match=r"no byte arrived for") as caught:
            vcenter.report_progress(opened, 30)
        assert caught.value.retryable
        vcenter.abort_lease(opened)
    assert simulator.leases().aborted == aborted + 1


def test_no_lease_is_held_for_ever(
    settings: VCenterSettings, taken: SnapshotRef, simulator: Simulator
) -> None:
    with VCenter(settings, lease_limits=LeaseLimits(total=0.5)) as vcenter:
        opened = vcenter.open_lease(taken)

        def over() -> bool:
            try:
                vcenter.report_progress(opened, time.monotonic_ns())
            except LeaseError as error:
                return "the limit" in error.message
            return False

        assert eventually(over)
        assert eventually(lambda: simulator.leases().open == ())


def test_closing_aborts_what_is_open(
    settings: VCenterSettings, taken: SnapshotRef, simulator: Simulator
) -> None:
    aborted = simulator.leases().aborted
    with VCenter(settings) as vcenter:
        vcenter.open_lease(taken)
    assert simulator.leases().open == ()
    assert simulator.leases().aborted == aborted + 1


def test_ending_a_lease_twice_is_harmless(vcenter: VCenter, taken: SnapshotRef) -> None:
    opened = vcenter.open_lease(taken)
    vcenter.complete_lease(opened)
    vcenter.complete_lease(opened)
    vcenter.abort_lease(opened)
    with pytest.raises(LeaseError, match="is not open"):
        vcenter.report_progress(opened, 1)


def test_a_lease_that_a_new_login_lost_is_reported(
    vcenter: VCenter, taken: SnapshotRef, simulator: Simulator
) -> None:
    simulator.change(lease_timeout=1)
    opened = vcenter.open_lease(taken)
    simulator.end_sessions()

    def lost() -> bool:
        try:
            vcenter.report_progress(opened, 1)
        except LeaseError as error:
            assert error.retryable
            return "has ended" in error.message
        return False

    assert eventually(lost)
    vcenter.abort_lease(opened)
    assert vcenter.open_lease(taken).moref != opened.moref


def test_a_lease_that_expired_can_still_be_completed(
    settings: VCenterSettings, taken: SnapshotRef, simulator: Simulator
) -> None:
    simulator.change(lease_timeout=1)
    with connect(settings) as session:
        opened = lease.open_lease(session, taken)
        assert eventually(lambda: simulator.leases().open == ())
        with pytest.raises(LeaseError, match="has ended: Timedout"):
            lease.progress(session, opened.moref, 5)
        lease.complete(session, opened.moref)
        lease.abort(session, opened.moref, "late")


def test_a_lease_that_cannot_be_aborted_is_left_to_its_time_out(
    settings: VCenterSettings, vcenter: VCenter, taken: SnapshotRef, caplog: pytest.LogCaptureFixture
) -> None:
    opened = vcenter.open_lease(taken)
    with connect(settings) as session:
        pass
    lease.abort(session, opened.moref, "late")
    vcenter.abort_lease(opened)
    assert "ends at its time-out: SessionClosedError" in caplog.text


def test_a_lease_is_aborted_where_dask_has_changed_how_exceptions_are_copied(
    settings: VCenterSettings, taken: SnapshotRef, simulator: Simulator
) -> None:
    tblib.pickling_support.install()  # as importing Dask does
    before = simulator.leases().aborted
    with connect(settings) as session:
        lease.abort(session, lease.open_lease(session, taken).moref, "late")
    assert simulator.leases().aborted == before + 1


def test_a_lease_that_does_not_get_ready_is_aborted(
    settings: VCenterSettings, taken: SnapshotRef, simulator: Simulator
) -> None:
    simulator.change(lease_initialize=30)
    with (
        connect(settings) as session,
        pytest.raises(LeaseError, match="export of web/1: the lease is not ready"),
    ):
        lease.open_lease(session, taken, ready=0.3)
    assert simulator.leases().open == ()


def test_a_vm_on_the_move_is_waited_for(vcenter: VCenter, taken: SnapshotRef, simulator: Simulator) -> None:
    simulator.inject(Rule("ExportSnapshot", fault="TaskInProgress", count=1))
    vcenter.abort_lease(vcenter.open_lease(taken), "tried")
    assert simulator.count("ExportSnapshot") == 2


@pytest.mark.parametrize(
    ("fault", "error"),
    [("TaskInProgress", HeldError), ("HostNotConnected", HostAwayError), ("Timedout", VCenterBusyError)],
)
def test_a_vm_that_moves_for_long_is_put_off(
    settings: VCenterSettings,
    taken: SnapshotRef,
    simulator: Simulator,
    fault: str,
    error: type[VCenterBusyError],
) -> None:
    simulator.inject(Rule("ExportSnapshot", fault=fault))
    with (
        VCenter(settings, lease_limits=LeaseLimits(busy=0)) as impatient,
        pytest.raises(error, match=f"export of web/1: {fault}") as raised,
    ):
        impatient.open_lease(taken)
    assert type(raised.value) is error
    assert simulator.leases().open == ()


def test_a_lease_follows_its_vm(
    vcenter: VCenter, session: Session, taken: SnapshotRef, simulator: Simulator
) -> None:
    vm = session.managed(vim.VirtualMachine, taken.vm)
    before = vm.runtime.host
    other = next(host for host in before.parent.host if host != before)
    tasks.wait(session, vm.RelocateVM_Task(vim.vm.RelocateSpec(host=other)))
    tasks.wait(session, vm.Rename_Task("moved"))
    opened = vcenter.open_lease(taken)
    vcenter.abort_lease(opened, "tried")
    tasks.wait(session, vm.RelocateVM_Task(vim.vm.RelocateSpec(host=before)))
    tasks.wait(session, vm.Rename_Task("web%2f1"))
    placed = opened.placement
    assert placed is not None and placed.host is not None
    assert (placed.vm, placed.name, placed.host.name) == (taken.vm, "moved", other.name)
    assert placed.host.cpu_mhz == other.summary.hardware.cpuMhz
    assert placed.datastores == ("datastore-0",)


def test_a_vm_that_is_deleted_before_its_export_is_gone(vcenter: VCenter, taken: SnapshotRef) -> None:
    with pytest.raises(GoneError, match="export of web/1: the VM was deleted"):
        vcenter.open_lease(replace(taken, moref="snapshot-999999", vm="vm-999999"))


def test_faults_of_opening(vcenter: VCenter, taken: SnapshotRef, simulator: Simulator) -> None:
    simulator.inject(Rule("ExportSnapshot", fault="FileFault", count=1))
    with pytest.raises(LeaseError, match="export of web/1: FileFault"):
        vcenter.open_lease(taken)
    with pytest.raises(LeaseError, match="its snapshot is no longer there"):
        vcenter.open_lease(replace(taken, moref="snapshot-999999"))


def test_a_host_that_does_not_answer_one_report_ends_no_lease(
    vcenter: VCenter, taken: SnapshotRef, simulator: Simulator
) -> None:
    simulator.change(lease_timeout=3)
    opened = vcenter.open_lease(taken)
    simulator.inject(Rule("HttpNfcLeaseProgress", fault="HostCommunication", count=1))
    assert eventually(lambda: simulator.leases().open[0].reports >= 1)
    vcenter.report_progress(opened, 1)
    vcenter.complete_lease(opened)


def test_progress_survives_a_vcenter_that_is_away_for_a_moment(
    vcenter: VCenter, taken: SnapshotRef, simulator: Simulator
) -> None:
    simulator.change(lease_timeout=6)  # a report after 2, and two waits of up to 1.4
    opened = vcenter.open_lease(taken)
    simulator.inject(Rule("HttpNfcLeaseProgress", drop=True, count=2))
    assert eventually(lambda: simulator.leases().open[0].reports >= 1)
    vcenter.report_progress(opened, 1)
    vcenter.complete_lease(opened)


def device(key: int, controller: int, unit: int, kib: int) -> Any:
    backing = Disk.FlatVer2BackingInfo(fileName=f"[ds] {key}.vmdk", diskMode="persistent")
    return Disk(key=key, controllerKey=controller, unitNumber=unit, backing=backing, capacityInKB=kib)


HARDWARE = (
    vim.vm.device.VirtualLsiLogicController(key=1000, busNumber=0),
    vim.vm.device.ParaVirtualSCSIController(key=1001, busNumber=1),
    device(2000, 1000, 0, 10),
    device(2016, 1001, 0, 20),
)


def url(key: str, disk: bool = True) -> Any:
    return vim.HttpNfcLease.DeviceUrl(
        key=f"/vm-1/{key}", url="https://*/nfc/1/x", disk=disk, sslThumbprint=""
    )


def test_disks_are_told_apart_by_their_place_on_the_bus() -> None:
    urls = [
        url("ParaVirtualSCSIController1:0"),
        url("nvram", disk=False),
        url("VirtualLsiLogicController0:0"),
    ]
    found = lease.disks(urls, HARDWARE, "esx.example.com")
    assert [(disk.device, disk.capacity) for disk in found] == [(2016, 20480), (2000, 10240)]
    assert found[0].url == "https://esx.example.com/nfc/1/x"


def test_disks_with_other_keys_are_told_apart_by_their_order() -> None:
    found = lease.disks([url("disk-0"), url("disk-1")], HARDWARE, "h")
    assert [disk.device for disk in found] == [2000, 2016]


def test_disks_that_cannot_be_told_apart_are_refused() -> None:
    with pytest.raises(LeaseError, match="the lease has 1 disks, the snapshot 2"):
        lease.disks([url("disk-0")], HARDWARE, "h")


@pytest.mark.parametrize(
    ("given", "host", "expected"),
    [
        ("https://*/nfc/a", "vc", "https://vc/nfc/a"),
        ("https://*:8443/nfc/a*b", "vc", "https://vc:8443/nfc/a*b"),
        ("https://*/nfc/a", "fd00::1", "https://[fd00::1]/nfc/a"),
        ("https://esx/nfc/*", "vc", "https://esx/nfc/*"),
    ],
)
def test_only_the_hosts_star_is_replaced(given: str, host: str, expected: str) -> None:
    assert lease.with_host(given, host) == expected
