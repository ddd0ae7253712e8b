"""The simulated vCenter: what it holds, its snapshots and leases, and what makes it misbehave."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from http.client import RemoteDisconnected
from pathlib import Path
from typing import Any

import httpx
import pytest
from pyVmomi import vim, vmodl

from deploy.demo import guests, simulator
from deploy.demo.fleet import Cluster, Datacenter, Disk, Fleet, Host, Machine, Settings, UserSnapshot
from deploy.demo.simulator import Download, Rule, Simulator
from tests.conftest import StartSimulator
from tests.deploy import vcenter
from tests.waiting import until

NAMES = ("plain", "with space", "slash/name", "per%cent", "ünï-códe", "100%2f")


@pytest.fixture(scope="module")
def guest() -> guests.Guest:
    return guests.small()


@pytest.fixture
def vc(start_simulator: StartSimulator, guest: guests.Guest) -> Simulator:
    vms = (
        *(Machine(name, folders=("team", "team"), disks=(Disk(str(guest.vmdk)),)) for name in NAMES),
        Machine("plain", folders=("other/team",), power="poweredOff", tools_running=False),
        Machine(
            "limited",
            cpu_limit_mhz=3000,
            restart_priority="high",
            disks=(Disk(str(guest.vmdk)), Disk(str(guest.raw))),
            snapshots=(UserSnapshot("before upgrade", "by hand"), UserSnapshot("after upgrade")),
        ),
        Machine("rdm", disks=(Disk(capacity=1 << 30, physical_rdm=True),)),
        Machine("independent", disks=(Disk(capacity=1 << 30, mode="independent_persistent"),)),
        Machine("template", power="poweredOff", template=True),
    )
    hosts = (Host("esx-0.example.com", 2500), Host("esx-1.example.com", 3000))
    dc0 = Datacenter("DC0", vms=vms, clusters=(Cluster("C0", "low", hosts),))
    dc1 = Datacenter("DC 1", folders=("region/eu",), empty_vms=3)
    simulated = start_simulator(Fleet((dc0, dc1)))
    settings = Settings()
    simulated.change(
        lease_timeout=settings.lease_timeout,
        wildcard_host=settings.wildcard_host,
        file_size=settings.file_size,
        thumbprint=settings.thumbprint,
        denied_privileges=settings.denied_privileges,
    )
    return simulated


def _snapshot(vm: Any, name: str = "ours", quiesce: bool = False) -> Any:
    return vcenter.wait(vm.CreateSnapshot_Task(name, "a description", False, quiesce))


def _files(vm: Any) -> set[str]:
    return {file.name for file in vm.layoutEx.file}


def test_holds_the_fleet_with_names_as_vcenter_stores_them(vc: Simulator) -> None:
    with vcenter.connected(vc) as service:
        for name in NAMES:
            stored = name.replace("%", "%25").replace("/", "%2f")
            assert vcenter.find(service, stored).summary.config.name == stored
        slash = vcenter.find(service, "slash%2fname")
        assert (slash.parent.name, slash.parent.parent.name) == ("team", "team")
        assert vcenter.find(service, "vm-00002").runtime.powerState == "poweredOn"
    assert {vm.name for vm in vc.vms()} == {
        *(*NAMES, "limited", "rdm", "independent", "template"),
        *("vm-00000", "vm-00001", "vm-00002"),
    }


def test_gives_whole_objects_that_pyvmomi_can_read(vc: Simulator) -> None:
    with vcenter.connected(vc) as service:
        limited = vcenter.find(service, "limited")
        assert limited.summary.runtime.faultToleranceState == "notConfigured"
        assert limited.config.cpuAllocation.limit == 3000
        assert limited.runtime.host.summary.hardware.cpuMhz in (2500, 3000)
        cluster = limited.runtime.host.parent.configurationEx
        assert cluster.dasConfig.defaultVmSettings.restartPriority == "low"
        assert [(v.key, v.dasSettings.restartPriority) for v in cluster.dasVmConfig] == [(limited, "high")]
        rdm, independent = vcenter.find(service, "rdm"), vcenter.find(service, "independent")
        kinds = [type(d.backing).__name__ for d in rdm.config.hardware.device if hasattr(d, "capacityInKB")]
        assert kinds == ["vim.vm.device.VirtualDisk.RawDiskMappingVer1BackingInfo"]
        modes = [d.backing.diskMode for d in independent.config.hardware.device if hasattr(d, "capacityInKB")]
        assert modes == ["independent_persistent"]
        assert vcenter.find(service, "template").config.template


def test_refuses_a_wrong_password_and_an_unknown_authority(vc: Simulator) -> None:
    with pytest.raises(vim.fault.InvalidLogin), vcenter.connected(vc, password="wrong"):
        pass
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(vc.url, trust_env=False)


def test_removes_a_snapshot_and_nothing_else(vc: Simulator) -> None:
    with vcenter.connected(vc) as service:
        vm = vcenter.find(service, "limited")
        before = _files(vm)
        first, second = _snapshot(vm, "first", quiesce=True), _snapshot(vm, "second")
        assert [(s.name, s.quiesced) for s in vc.snapshots()] == [
            ("before upgrade", False),
            ("after upgrade", False),
            ("first", True),
            ("second", False),
        ]
        vcenter.wait(first.RemoveSnapshot_Task(False))
        vcenter.wait(second.RemoveSnapshot_Task(False))
        with pytest.raises(vmodl.fault.ManagedObjectNotFound):
            second.RemoveSnapshot_Task(False)
        assert [s.name for s in vc.snapshots()] == ["before upgrade", "after upgrade"]
        assert _files(vm) == before
        assert vm.snapshot.currentSnapshot == vm.rootSnapshot[0].childSnapshot[0]
        assert vm.snapshot.currentSnapshot.childSnapshot == []


def test_exports_the_disk_that_was_given(vc: Simulator, guest: guests.Guest) -> None:
    with vcenter.connected(vc) as service, vcenter.web(vc) as web:
        snapshot = _snapshot(vcenter.find(service, "limited"))
        lease = snapshot.ExportSnapshot()
        info = vcenter.ready(lease)
        disks = [url for url in info.deviceUrl if url.disk]
        assert [url.sslThumbprint for url in disks] == [vc.thumbprint] * 2
        assert [url.fileSize for url in disks] == [guest.vmdk.stat().st_size, guest.raw.stat().st_size]
        assert web.get(disks[0].url).content == guest.vmdk.read_bytes()
        assert web.get(disks[1].url).content == guest.raw.read_bytes()
        assert [(o.vm, o.sent["disk-0.vmdk"]) for o in vc.leases().open] == [("limited", disks[0].fileSize)]
        completed = vc.leases().completed
        lease.HttpNfcLeaseComplete()
        assert vc.leases().open == ()
        assert vc.leases().completed == completed + 1
        assert web.get(disks[0].url).status_code == 404
        vcenter.wait(snapshot.RemoveSnapshot_Task(False))


def test_a_lease_without_progress_ends_and_takes_its_download_along(vc: Simulator) -> None:
    vc.change(lease_timeout=0.6)
    vc.disturb_downloads(Download(vm="plain", rate=1 << 20))
    with vcenter.connected(vc) as service, vcenter.web(vc) as web:
        snapshot = _snapshot(vcenter.find(service, "plain"))
        lease = snapshot.ExportSnapshot()
        url = vcenter.ready(lease).deviceUrl[0].url
        for _ in range(4):  # longer than the time-out: progress keeps it open
            time.sleep(0.3)
            lease.HttpNfcLeaseProgress(1)
        assert lease.state == "ready"
        with pytest.raises(httpx.RemoteProtocolError):
            web.get(url)
        assert lease.state == "error"
        assert isinstance(lease.error, vim.fault.Timedout)
        with pytest.raises(vim.fault.Timedout):
            lease.HttpNfcLeaseProgress(2)
        assert vc.leases().expired == 1
        vcenter.wait(snapshot.RemoveSnapshot_Task(False))


def test_device_urls_can_be_as_esxi_gives_them(vc: Simulator) -> None:
    vc.change(wildcard_host=True, file_size=False, thumbprint="none")
    with vcenter.connected(vc) as service:
        snapshot = _snapshot(vcenter.find(service, "plain"))
        lease = snapshot.ExportSnapshot()
        disk = vcenter.ready(lease).deviceUrl[0]
        assert disk.url.startswith("https://*:")
        assert (disk.fileSize or 0, disk.sslThumbprint or "") == (0, "")
        lease.HttpNfcLeaseAbort()
        vcenter.wait(snapshot.RemoveSnapshot_Task(False))


def test_a_download_can_be_cut_and_refused(vc: Simulator) -> None:
    vc.disturb_downloads(Download(cut_after=70_000, count=1), Download(status=503, count=1))
    with vcenter.connected(vc) as service, vcenter.web(vc) as web:
        snapshot = _snapshot(vcenter.find(service, "plain"))
        lease = snapshot.ExportSnapshot()
        url = vcenter.ready(lease).deviceUrl[0].url
        with pytest.raises(httpx.RemoteProtocolError), web.stream("GET", url) as answer:
            received = 0
            for part in answer.iter_raw():
                received += len(part)
        assert received == 70_000
        assert web.get(url).status_code == 503
        assert web.get(url).status_code == 200
        lease.HttpNfcLeaseAbort()
        vcenter.wait(snapshot.RemoveSnapshot_Task(False))


def test_calls_fail_as_often_as_asked(vc: Simulator) -> None:
    vc.inject(Rule("CreateSnapshot_Task", fault="TaskInProgress", object="plain", skip=1, count=1))
    with vcenter.connected(vc) as service:
        vm = vcenter.find(service, "plain")
        vc.forget_calls()
        first = _snapshot(vm)
        with pytest.raises(vim.fault.TaskInProgress):
            vm.CreateSnapshot_Task("ours", "", False, False)
        second = _snapshot(vm)
        assert vc.count("CreateSnapshot_Task") == 3
        for snapshot in (second, first):
            vcenter.wait(snapshot.RemoveSnapshot_Task(False))


def test_tasks_fail_and_wait_without_blocking_the_vm(vc: Simulator) -> None:
    vc.inject(Rule("CreateSnapshot_Task", "task", fault="ApplicationQuiesceFault", quiesced_only=True))
    vc.inject(Rule("RemoveSnapshot_Task", "task", fault="FileLocked", count=1))
    with vcenter.connected(vc) as service:
        vm = vcenter.find(service, "plain")
        with pytest.raises(vim.fault.ApplicationQuiesceFault):
            _snapshot(vm, quiesce=True)
        snapshot = _snapshot(vm)
        with pytest.raises(vim.fault.FileLocked):
            vcenter.wait(snapshot.RemoveSnapshot_Task(False))
        vcenter.wait(snapshot.RemoveSnapshot_Task(False))
        vc.inject(Rule("CreateSnapshot_Task", "task", delay_ms=60_000, count=1))
        hanging = vm.CreateSnapshot_Task("never", "", False, False)
        assert vm.runtime.powerState == "poweredOn"
        assert hanging.info.state == "running"
        hanging.CancelTask()
        with pytest.raises(vmodl.fault.RequestCanceled):
            vcenter.wait(hanging)
        assert [s.name for s in vc.snapshots() if s.vm == "plain"] == []


def test_an_answer_can_be_lost_after_the_work_is_done(vc: Simulator) -> None:
    vc.inject(Rule("CreateSnapshot_Task", "reply", count=1))
    with vcenter.connected(vc) as service:
        vm = vcenter.find(service, "plain")
        with pytest.raises(RemoteDisconnected):
            vm.CreateSnapshot_Task("lost", "", False, False)
        until(lambda: [s.name for s in vc.snapshots() if s.vm == "plain"] == ["lost"])
        vcenter.wait(vm.snapshot.currentSnapshot.RemoveSnapshot_Task(False))


def test_consolidation_is_needed_until_it_is_done(vc: Simulator) -> None:
    with vcenter.connected(vc) as service:
        vm = vcenter.find(service, "plain")
        vc.set_consolidation_needed("plain")
        assert vm.runtime.consolidationNeeded
        vcenter.wait(vm.ConsolidateVMDisks_Task())
        assert not vm.runtime.consolidationNeeded


def test_ending_the_sessions_logs_everybody_out(vc: Simulator) -> None:
    with vcenter.connected(vc) as service:
        vm = vcenter.find(service, "plain")
        assert vc.end_sessions() >= 1
        with pytest.raises(vim.fault.NotAuthenticated):
            vm.CreateSnapshot_Task("ours", "", False, False)
    assert vc.sessions() == []


def test_missing_privileges_are_told_and_enforced(vc: Simulator) -> None:
    vc.change(denied_privileges=["VirtualMachine.State.CreateSnapshot"])
    asked = ["VirtualMachine.State.CreateSnapshot", "VirtualMachine.State.RemoveSnapshot"]
    with vcenter.connected(vc) as service:
        vm, manager = vcenter.find(service, "plain"), service.content.authorizationManager
        session = service.content.sessionManager.currentSession.key
        (entity,) = manager.HasPrivilegeOnEntities([vm], session, asked)
        assert [p.isGranted for p in entity.privAvailability] == [False, True]
        (entity,) = manager.HasUserPrivilegeOnEntities([vm], vc.username, asked)
        assert [p.isGranted for p in entity.privAvailability] == [False, True]
        with pytest.raises(vim.fault.NoPermission) as refused:
            vm.CreateSnapshot_Task("ours", "", False, False)
        assert refused.value.privilegeId == asked[0]


def test_the_datastore_is_read_in_ranges_after_a_login(vc: Simulator, guest: guests.Guest) -> None:
    address = httpx.URL(vc.url).join("/folder/plain/plain.vmdk")
    query = {"dcPath": "DC0", "dsName": "datastore-0"}
    with vcenter.web(vc) as web:
        assert web.get(address, params=query).status_code == 401
        web.auth = (vc.username, vc.password)
        part = web.get(address, params=query, headers={"Range": "bytes=4-11"})
        assert (part.status_code, part.content) == (206, guest.vmdk.read_bytes()[4:12])
        assert web.get(address, params={**query, "dcPath": "DC 1"}).status_code == 404


def test_two_run_at_once_and_leave_nothing_behind(tmp_path: Path) -> None:
    fleet = Fleet((Datacenter(empty_vms=1),))
    with simulator.running(fleet) as first, simulator.running(fleet) as second:
        homes = {first.ca_file.parent, second.ca_file.parent}
        assert first.url != second.url
        assert [vm.moref for vm in first.vms()] == [vm.moref for vm in second.vms()]
    assert not any(home.exists() for home in homes)


def test_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    script = tmp_path / "start.py"
    script.write_text(
        "import time\n"
        "from deploy.demo import simulator\n"
        "from deploy.demo.fleet import Fleet\n"
        "with simulator.running(Fleet()) as s:\n"
        "    print(s.ca_file, s.url, flush=True)\n"
        "    time.sleep(60)\n"
    )
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    ) as parent:
        assert parent.stdout is not None
        ca_file, url = parent.stdout.readline().split()
        parent.send_signal(signal.SIGKILL)
    until(lambda: not Path(ca_file).parent.exists())
    with pytest.raises(httpx.ConnectError):
        httpx.get(url, trust_env=False)


def test_says_what_is_wrong_with_a_fleet() -> None:
    fleet = Fleet((Datacenter(vms=(Machine("lost", host="esx-9.example.com"),)),))
    with pytest.raises(Exception, match=r'VM "lost": no host "esx-9.example.com"'), simulator.running(fleet):
        pass


def test_refuses_rules_that_cannot_be(vc: Simulator) -> None:
    with pytest.raises(ValueError, match="no vSphere fault is called"):
        vc.inject(Rule("CreateSnapshot_Task", fault="NoSuchFault"))
    with pytest.raises(ValueError, match="stage"):
        vc.inject(Rule("Login", stage="task", fault="TaskInProgress"))
