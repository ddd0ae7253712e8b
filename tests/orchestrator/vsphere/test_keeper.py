from __future__ import annotations

import threading
import time

import pytest

from orchestrator.errors import LeaseError, VCenterBusyError
from orchestrator.vsphere.keeper import Keeper, LeaseLimits
from orchestrator.vsphere.values import Lease, LeaseDisk
from tests.waiting import until


class Calls:
    """Records what the keeper asks of vCenter, which answers with ``failure`` when that is set."""

    def __init__(self) -> None:
        self.reports: list[tuple[str, int]] = []
        self.aborts: list[tuple[str, str]] = []
        self.failure: Exception | None = None
        self.broken = ""
        """The lease for which nothing can be asked at all."""
        self.reported = threading.Semaphore(0)

    def progress(self, moref: str, percent: int) -> None:
        self.reports.append((moref, percent))
        self.reported.release()
        if moref == self.broken:
            raise RuntimeError("out of order")
        if self.failure:
            raise self.failure

    def abort(self, moref: str, reason: str) -> None:
        self.aborts.append((moref, reason))
        if moref == self.broken:
            raise RuntimeError("out of order")


def lease(moref: str = "lease-1", timeout: int = 1, file_size: int = 200) -> Lease:
    disks = tuple(LeaseDisk(f"disk-{n}", "https://h/", "", 1000, file_size) for n in range(2))
    return Lease(moref, "vm-1", disks, timeout)


def over(keeper: Keeper, moref: str = "lease-1") -> str:
    """What ``received`` says once the lease has ended."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            keeper.received(moref, 0)
        except LeaseError as error:
            return error.message
        time.sleep(0.02)
    raise AssertionError("the lease did not end")


@pytest.mark.parametrize(
    ("file_size", "received", "percent"),
    [(200, 0, 0), (200, 100, 25), (200, 400, 99), (200, 9000, 99), (0, 500, 25)],
)
def test_vcenter_hears_how_far_the_download_is(file_size: int, received: int, percent: int) -> None:
    calls = Calls()
    keeper = Keeper(calls, LeaseLimits())
    keeper.keep(lease(file_size=file_size))
    keeper.received("lease-1", received)
    assert calls.reported.acquire(timeout=2)
    keeper.close()
    assert calls.reports[0] == ("lease-1", percent)


def test_each_lease_is_reported_at_least_every_third_of_its_timeout() -> None:
    calls = Calls()
    keeper = Keeper(calls, LeaseLimits())
    keeper.keep(lease("quick", timeout=1))
    keeper.keep(lease("slow", timeout=3))
    time.sleep(2.2)
    keeper.close()
    counts = {name: sum(moref == name for moref, _ in calls.reports) for name in ("quick", "slow")}
    assert counts["quick"] >= 6
    assert counts["slow"] >= 2


def test_the_bytes_that_arrive_not_the_calls_keep_a_lease() -> None:
    calls = Calls()
    keeper = Keeper(calls, LeaseLimits(idle=0.3))
    keeper.keep(lease())
    assert "no byte arrived for 0 s" in over(keeper)
    assert calls.aborts == [("lease-1", "no byte arrived for 0 s")]
    keeper.close()
    assert len(calls.aborts) == 1


def test_a_lease_that_vcenter_ended_is_not_reported_again() -> None:
    calls = Calls()
    calls.failure = LeaseError("the export lease has ended: Timedout")
    keeper = Keeper(calls, LeaseLimits())
    keeper.keep(lease())
    assert "has ended: Timedout" in over(keeper)
    time.sleep(0.5)
    keeper.close()
    assert (len(calls.reports), calls.aborts) == (1, [])


def test_a_vcenter_that_is_away_longer_than_the_timeout_has_lost_the_lease() -> None:
    calls = Calls()
    calls.failure = VCenterBusyError("vCenter broke off")
    keeper = Keeper(calls, LeaseLimits())
    keeper.keep(lease())
    assert "vCenter was away" in over(keeper)
    assert len(calls.reports) >= 3
    keeper.close()


@pytest.mark.parametrize("limits", [LeaseLimits(), LeaseLimits(idle=0.2)], ids=["report", "abort"])
def test_a_lease_that_cannot_be_attended_to_costs_no_other_its_reports(limits: LeaseLimits) -> None:
    calls = Calls()
    calls.broken = "broken"
    keeper = Keeper(calls, limits)
    keeper.keep(lease("broken"))
    until(lambda: calls.reports or calls.aborts)
    keeper.keep(lease("sound"))
    keeper.received("sound", 1)
    until(lambda: "sound" in {moref for moref, _ in (*calls.reports, *calls.aborts)})
    assert len(calls.reports) < 10, "it asked without a pause"
    keeper.release("broken")
    keeper.close()


def test_closing_aborts_only_what_is_open() -> None:
    calls = Calls()
    keeper = Keeper(calls, LeaseLimits())
    for name in ("one", "two"):
        keeper.keep(lease(name, timeout=300))
    assert keeper.release("one")
    assert not keeper.release("one")
    keeper.close()
    assert calls.aborts == [("two", "the run ends")]


def test_a_lease_that_is_not_open_takes_no_bytes() -> None:
    keeper = Keeper(Calls(), LeaseLimits())
    with pytest.raises(LeaseError, match="lease-9 is not open"):
        keeper.received("lease-9", 1)
    keeper.close()


def running() -> bool:
    return "lease-keeper" in {thread.name for thread in threading.enumerate()}


def test_the_thread_ends_with_the_keeper() -> None:
    keeper = Keeper(Calls(), LeaseLimits())
    keeper.keep(lease(timeout=300))
    assert running()
    keeper.close()
    assert not running()
