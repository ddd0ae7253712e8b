"""The simulated vCenter restarts, its hosts go away, its leases fail and its downloads are damaged."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest
from pyVmomi import vim, vmodl

from deploy.demo import guests
from deploy.demo.fleet import Datacenter, Disk, Fleet, Machine
from deploy.demo.simulator import Download, Rule, Simulator
from tests.conftest import StartSimulator
from tests.deploy import vcenter
from tests.waiting import until

HOSTS = ("esx-0.example.com", "esx-1.example.com")


@pytest.fixture(scope="module")
def disk() -> bytes:
    return guests.small().vmdk.read_bytes()


@pytest.fixture
def vc(start_simulator: StartSimulator) -> Simulator:
    """A VM on each of two hosts."""
    path = str(guests.small().vmdk)
    vms = tuple(Machine(f"on-{host[:5]}", host=host, disks=(Disk(path),)) for host in HOSTS)
    return start_simulator(Fleet((Datacenter(vms=vms),)))


@pytest.fixture
def urls(vc: Simulator) -> Iterator[list[str]]:
    """Where the disks of both VMs are exported."""
    with vcenter.connected(vc) as service:
        snapshots = [
            vcenter.wait(
                vcenter.find(service, f"on-{host[:5]}").CreateSnapshot_Task("ours", "", False, False)
            )
            for host in HOSTS
        ]
        leases = [snapshot.ExportSnapshot() for snapshot in snapshots]
        yield [vcenter.ready(lease).deviceUrl[0].url for lease in leases]
        vc.reset()
        for lease in leases:
            lease.HttpNfcLeaseAbort()
        for snapshot in snapshots:
            vcenter.wait(snapshot.RemoveSnapshot_Task(False))


def test_a_restart_ends_sessions_leases_and_tasks_and_hosts_go_on(vc: Simulator) -> None:
    name = f"on-{HOSTS[0][:5]}"
    vc.inject(Rule("RemoveSnapshot_Task", "task", delay_ms=1000))
    with pytest.raises(OSError), vcenter.connected(vc) as service:
        snapshot = vcenter.wait(vcenter.find(service, name).CreateSnapshot_Task("ours", "", False, False))
        vcenter.ready(snapshot.ExportSnapshot())
        removal = snapshot.RemoveSnapshot_Task(False)
        failed = vc.leases().failed
        vc.restart(0.5)
        service.CurrentTime()
    assert (vc.leases().open, vc.leases().failed, vc.sessions()) == ((), failed + 1, [])
    time.sleep(0.5)
    with vcenter.connected(vc) as service:
        with pytest.raises(vmodl.fault.ManagedObjectNotFound):
            _ = vim.Task(removal._moId, service._stub).info
        assert list(vcenter.find(service, name).recentTask) == []
        until(lambda: vc.snapshots() == [])


def test_a_host_that_is_away_takes_only_its_own_downloads_along(
    vc: Simulator, urls: list[str], disk: bytes
) -> None:
    vc.disturb_downloads(Download(rate=256 << 10))
    with vcenter.web(vc) as web, web.stream("GET", urls[0]) as answer:
        parts = answer.iter_raw()
        next(parts)
        vc.take_away(HOSTS[0], 0.5)
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            list(parts)
    vc.disturb_downloads()
    with vcenter.web(vc) as web:
        with pytest.raises(httpx.ConnectError):
            web.get(urls[0])
        assert web.get(urls[1]).content == disk
        time.sleep(0.5)
        assert web.get(urls[0]).content == disk
        vc.take_away(HOSTS[0])
        with pytest.raises(httpx.ConnectError):
            web.get(urls[0])
        vc.reset()
        assert web.get(urls[0]).content == disk


def test_a_download_can_be_short_and_damaged(vc: Simulator, urls: list[str], disk: bytes) -> None:
    vc.disturb_downloads(Download(end_after=70_000, count=1), Download(flip_at=70_000, count=1))
    with vcenter.web(vc) as web:
        assert web.get(urls[0]).content == disk[:70_000]
        damaged = web.get(urls[0]).content
        assert [at for at, (is_, was) in enumerate(zip(damaged, disk, strict=True)) if is_ != was] == [70_000]
        assert web.get(urls[0]).content == disk


def test_a_reset_lets_a_download_that_was_slow_once_go_on(
    vc: Simulator, urls: list[str], disk: bytes
) -> None:
    vc.disturb_downloads(Download(rate=64 << 10, count=1))
    with vcenter.web(vc) as web, web.stream("GET", urls[0]) as answer:
        parts = answer.iter_raw()
        begun, first = time.monotonic(), next(parts)
        vc.reset()
        assert first + b"".join(parts) == disk
    assert time.monotonic() - begun < len(disk) / (64 << 10) / 2


def test_a_lease_fails_while_it_opens_and_while_it_is_used(vc: Simulator) -> None:
    name = f"on-{HOSTS[0][:5]}"
    vc.inject(Rule("ExportSnapshot", "task", fault="FileLocked", count=1))
    with vcenter.connected(vc) as service:
        snapshot = vcenter.wait(vcenter.find(service, name).CreateSnapshot_Task("ours", "", False, False))
        lease = snapshot.ExportSnapshot()
        until(lambda: lease.state == "error")
        assert isinstance(lease.error, vim.fault.FileLocked)
        lease = snapshot.ExportSnapshot()
        url = vcenter.ready(lease).deviceUrl[0].url
        vc.fail_leases(name, "GenericVmConfigFault")
        with pytest.raises(vim.fault.GenericVmConfigFault):
            lease.HttpNfcLeaseProgress(1)
        with vcenter.web(vc) as web:
            assert web.get(url).status_code == 404
        vcenter.wait(snapshot.RemoveSnapshot_Task(False))


def test_every_call_can_be_slow(vc: Simulator) -> None:
    vc.change(latency=0.3)
    with vcenter.connected(vc) as service:
        begun = time.monotonic()
        service.CurrentTime()
        assert time.monotonic() - begun >= 0.3
        vc.change(latency=0)
