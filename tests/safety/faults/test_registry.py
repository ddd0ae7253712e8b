"""The registry is busy, breaks off, forgets, refuses or is away in the middle of a push."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest

from deploy.demo.registry import Registry
from deploy.demo.simulator import Simulator
from orchestrator.errors import ExitCode
from tests.safety.faults.crowd import WORKERS, Fault, ended
from tests.safety.faults.unruly import Trouble, What, unruly
from tests.safety.harness import Site, digests, errors, in_push
from tests.safety.link import linked
from tests.safety.settling import settling

UPLOADS, MANIFESTS = "blobs/uploads/", "manifests/"
AWAY, REFUSED = ("convert", "registry-unavailable"), (("publish", "registry-refused"),)
BUSY_SECONDS = 2
PATIENCE = ("--registry-patience", "3")


def answers(status: int, method: str = "PATCH", **headers: str) -> Trouble:
    """The first request of this kind is answered with a status."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Trouble(method, UPLOADS, status=status, headers=named)


TROUBLES: Mapping[Fault, Trouble] = {
    Fault("vm-1", "it is busy"): answers(429, Retry_After=str(BUSY_SECONDS)),
    Fault("vm-2", "it fails"): answers(500),
    Fault("vm-3", "its back end is away"): answers(502, "POST"),
    Fault("vm-4", "it is not ready"): answers(503, "PUT"),
    # It has half of the chunk, and gives the upload up when it is asked for the rest.
    Fault("vm-5", "it breaks off in a chunk", errors=(AWAY,), says="lost an upload"): Trouble(
        "PATCH", UPLOADS, What.HALF
    ),
    Fault("vm-6", "it forgets an upload", errors=(AWAY,), says="lost an upload"): Trouble(
        "PATCH", UPLOADS, What.FORGET
    ),
    Fault("vm-7", "it gets another byte", errors=(AWAY,), says="other bytes than were sent"): Trouble(
        "PATCH", UPLOADS, What.DAMAGE
    ),
    Fault(
        "vm-8", "it is away for ever", state="failed", errors=(AWAY,) * 2, says="is not available"
    ): Trouble("", "", What.SILENCE, count=0),
    Fault("vm-9", "it refuses manifests", state="failed", errors=REFUSED, says="403"): Trouble(
        "PUT", MANIFESTS, status=403, count=0
    ),
    Fault("vm-10", "it breaks off after a manifest"): Trouble("PUT", MANIFESTS, What.SILENCE),
}


@dataclass(frozen=True, slots=True)
class Told:
    """What one run says in which each VM's repository has its trouble, and when requests came."""

    jobs: Mapping[str, Any]
    arrived: Mapping[str, list[float]]


@pytest.fixture(scope="module")
def told(
    undisturbed: Mapping[str, str],
    vcenter: Simulator,
    images: Registry,
    tmp_path_factory: pytest.TempPathFactory,
) -> Told:
    """A run in which each VM's repository has its trouble; a rerun does the rest."""
    with unruly(images.address) as way, linked(way.address) as link:
        way.troubles = {fault.vm: (trouble,) for fault, trouble in TROUBLES.items()}
        with settling(vcenter, images, link, tmp_path_factory.mktemp("registry")) as site:
            with site.converting("--attempts", "2", *PATIENCE, *WORKERS) as command:
                ended(command, ExitCode.SOME_FAILED)
            told = Told(site.report(), dict(way.arrived))
            assert site.ours() == []
            site.assert_whole()
            way.troubles = {}
            assert digests(site.convert(*WORKERS)) == site.tagged() == undisturbed
            return told


@pytest.mark.parametrize("fault", TROUBLES, ids=lambda fault: fault.id)
def test_a_fault_of_the_registry_costs_its_own_vm_only(told: Told, fault: Fault) -> None:
    fault.assert_told(told.jobs)


def test_a_busy_registry_is_left_alone_for_as_long_as_it_asks(told: Told) -> None:
    first, second = next(pairwise(told.arrived["vm-1"]))
    assert second - first >= BUSY_SECONDS


@pytest.fixture
def stopped(images: Registry) -> Iterator[Registry]:
    """The registry, which runs again afterwards."""
    yield images
    images.stop()
    images.start()


def test_a_registry_that_goes_away_for_ever_fails_vms_and_holds_no_snapshot(
    site: Site, stopped: Registry, undisturbed: Mapping[str, str]
) -> None:
    flags = ("--include", "big", "--include", "vm-1", "--workers", "1")
    with site.converting("--attempts", "1", *PATIENCE, *flags) as command:
        in_push(site)
        stopped.stop()
        ended(command, ExitCode.SOME_FAILED)
    jobs = site.report()
    assert {vm: errors(job) for vm, job in jobs.items()} == {"big": [AWAY], "vm-1": [AWAY]}
    assert "is not available" in jobs["big"]["errors"][0]["message"]
    assert (site.ours(), site.simulator.leases().open) == ([], ())
    stopped.start()
    site.undisturb()
    site.assert_whole()
    wanted = {vm: undisturbed[vm] for vm in ("big", "vm-1")}
    assert digests(site.convert(*flags)) == site.tagged() == wanted
