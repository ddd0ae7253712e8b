"""vCenter ends every session, restarts, or is slow, at each moment of a run; the run does all the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pytest

from deploy.demo.disturbances import Rule
from deploy.demo.simulator import Simulator
from tests.safety.faults.crowd import ended
from tests.safety.harness import LEASE_SECONDS, Site, digests, errors, in_download, in_release, in_snapshot

pytestmark = pytest.mark.usefixtures("vcenter_as_it_was")

ONE = ("--include", "big", "--workers", "1")
AWAY = 2.0
"""Seconds for which a vCenter that restarts does not answer."""


def in_inventory(site: Site) -> None:
    """Wait until a page of the inventory is asked for, which takes vCenter its time."""
    site.simulator.change(page_size=3)
    site.simulator.inject(Rule("ContinueRetrievePropertiesEx", delay_ms=700, count=1))
    site.until_called("ContinueRetrievePropertiesEx")


def in_lease(site: Site) -> None:
    """Wait until a lease is being opened, and takes its time."""
    site.simulator.inject(Rule("ExportSnapshot", "task", delay_ms=1500, count=1))
    site.until_called("ExportSnapshot")


def in_progress(site: Site) -> None:
    """Wait until a lease has been kept alive."""
    in_download(site)
    site.until_called("HttpNfcLeaseProgress")


@dataclass(frozen=True, slots=True)
class Moment:
    """When something happens to vCenter, and what that costs the VM."""

    name: str
    reach: Callable[[Site], None]
    costs: tuple[tuple[str, str], ...] = ()


ENDED = (
    Moment("inventory", in_inventory),
    Moment("snapshot being made", in_snapshot),
    Moment("lease opening", in_lease, (("export", "lease"),)),
    Moment("progress", in_progress),
    Moment("release", in_release),
)
RESTARTED = (
    Moment("inventory", in_inventory),
    Moment("snapshot being made", in_snapshot),
    Moment("lease opening", in_lease, (("export", "lease"),)),
    Moment("download", in_download, (("download", "stream"),)),
    Moment("release", in_release),
)


@pytest.fixture
def vcenter_as_it_was(vcenter: Simulator) -> Iterator[None]:
    """Undo changes of its settings."""
    yield
    vcenter.change(page_size=0, latency=0, lease_timeout=LEASE_SECONDS)


@pytest.mark.parametrize("moment", ENDED, ids=lambda moment: moment.name)
def test_sessions_end(site: Site, undisturbed: Mapping[str, str], moment: Moment) -> None:
    with site.converting(*ONE) as command:
        moment.reach(site)
        assert site.simulator.end_sessions()
        site.undisturb()
        ended(command)
    assert_done(site, undisturbed, moment.costs)


@pytest.mark.parametrize("moment", RESTARTED, ids=lambda moment: moment.name)
def test_vcenter_restarts(site: Site, undisturbed: Mapping[str, str], moment: Moment) -> None:
    with site.converting(*ONE) as command:
        moment.reach(site)
        site.simulator.restart(AWAY)
        site.simulator.disturb_downloads()
        ended(command)
    assert_done(site, undisturbed, moment.costs)


def test_vcenter_is_slow(site: Site, undisturbed: Mapping[str, str]) -> None:
    """A second for each call, from the download on; the lease is kept alive all the same."""
    site.simulator.change(lease_timeout=6)
    with site.converting(*ONE) as command:
        in_download(site)
        site.simulator.change(latency=1.0)
        ended(command)
    site.simulator.change(latency=0)
    assert site.simulator.count("HttpNfcLeaseProgress")
    assert_done(site, undisturbed)


def assert_done(site: Site, undisturbed: Mapping[str, str], costs: tuple[tuple[str, str], ...] = ()) -> None:
    jobs = site.report()
    assert tuple(errors(jobs["big"])) == costs, jobs["big"]["errors"]
    assert digests(jobs) == site.tagged() == {"big": undisturbed["big"]}
