"""Snapshots that cannot be made or removed, or that vCenter says other things of than are so."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import Any

import pytest

from deploy.demo.disturbances import Rule
from deploy.demo.registry import Registry
from deploy.demo.simulator import Simulator
from orchestrator.errors import ExitCode
from tests.safety.faults.crowd import WORKERS, Fault, ended, inject
from tests.safety.harness import Site, digests, errors, slow
from tests.safety.link import Link
from tests.safety.settling import settling
from tests.waiting import until

CREATE, REMOVE, CONSOLIDATE = "CreateSnapshot_Task", "RemoveSnapshot_Task", "ConsolidateVMDisks_Task"
NOT_MADE, NOT_REMOVED = (("snapshot", "snapshot"),), (("release", "removal"),)

FAULTS = (
    Fault(
        "vm-1",
        "it is not made",
        (Rule(CREATE, "task", fault="FileFault"),),
        (),
        "failed",
        NOT_MADE,
        "FileFault",
    ),
    Fault(
        "vm-2",
        "its datastore is full",
        (Rule(CREATE, "task", fault="NoDiskSpace"),),
        state="failed",
        errors=NOT_MADE,
        says="NoDiskSpace",
    ),
    Fault(
        "vm-3",
        "it is made, and vCenter says that it failed",
        (Rule(CREATE, "after", fault="FileFault"),),
        state="failed",
        errors=NOT_MADE,
        says="FileFault",
    ),
    Fault("vm-4", "it is made, and the answer is lost", (Rule(CREATE, "reply", count=1),)),
    Fault(
        "vm-5",
        "the guest cannot be quiesced",
        (Rule(CREATE, "task", fault="ApplicationQuiesceFault", quiesced_only=True),),
        says="crash-consistent",
    ),
    Fault(
        "vm-6",
        "it is not removed at first",
        (Rule(REMOVE, "task", fault="FileFault", count=1),),
        errors=NOT_REMOVED,
    ),
    Fault("vm-7", "its removal takes long", (slow(REMOVE, 8),)),
    Fault("vm-8", "its files stay", (Rule(REMOVE, "after", unmerged=True),)),
    Fault(
        "vm-9",
        "it is removed, and vCenter says that it failed",
        (Rule(REMOVE, "after", fault="FileFault", unmerged=True),),
    ),
    Fault("vm-10", "it is removed, and the answer is lost", (Rule(REMOVE, "reply", count=1),)),
    Fault(
        "big",
        "its files stay, and cannot be merged at first",
        (Rule(REMOVE, "after", unmerged=True), Rule(CONSOLIDATE, "task", fault="FileFault", count=1)),
        errors=NOT_REMOVED,
    ),
)


@pytest.fixture(scope="module")
def told(
    undisturbed: Mapping[str, str],
    vcenter: Simulator,
    images: Registry,
    link: Link,
    tmp_path_factory: pytest.TempPathFactory,
) -> Mapping[str, Any]:
    """What the report of one run says in which each VM meets its fault; a rerun does the rest."""
    with settling(vcenter, images, link, tmp_path_factory.mktemp("snapshots")) as site:
        inject(vcenter, FAULTS)
        with site.converting(*WORKERS) as command:
            ended(command, ExitCode.SOME_FAILED)
        told = site.report()
        assert site.ours() == []
        assert not any(vm.consolidation_needed for vm in vcenter.vms())
        site.undisturb()
        assert digests(site.convert(*WORKERS)) == site.tagged() == undisturbed
        return told


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.id)
def test_a_fault_of_a_snapshot_costs_its_own_vm_only(told: Mapping[str, Any], fault: Fault) -> None:
    fault.assert_told(told)


def test_a_guest_that_cannot_be_quiesced_fails_where_that_is_required(
    site: Site, undisturbed: Mapping[str, str]
) -> None:
    both = ("--include", "vm-1", "--include", "vm-2")
    site.simulator.inject(Rule(CREATE, "task", "vm-1", fault="ApplicationQuiesceFault", quiesced_only=True))
    jobs = site.convert("--quiesce", "require", *both, *WORKERS, status=ExitCode.SOME_FAILED)
    assert (jobs["vm-1"]["state"], errors(jobs["vm-1"])) == ("failed", [("snapshot", "quiesce")])
    assert "ApplicationQuiesceFault" in jobs["vm-1"]["errors"][0]["message"]
    assert site.simulator.count(CREATE) == 2
    site.undisturb()
    again = digests(site.convert("--quiesce", "require", *both, *WORKERS))
    assert again == site.tagged() == {vm: undisturbed[vm] for vm in ("vm-1", "vm-2")}


def test_a_snapshot_that_is_never_removed_is_told_with_what_to_do(
    site: Site, undisturbed: Mapping[str, str]
) -> None:
    site.simulator.inject(Rule(REMOVE, "task", fault="FileFault"))
    with site.converting("--include", "vm-1", "--grace-seconds", "4", *WORKERS) as command:
        until(lambda: site.simulator.count(REMOVE) >= 2, 30)
        command.signal(signal.SIGTERM)
        ended(command, ExitCode.INTERRUPTED)
        assert "orchestrate sweep" in command.said
        assert "FileFault" in command.said
    assert site.report()["vm-1"]["errors"], "there is a report although there was no time to clean up"
    (left,) = site.ours()
    site.undisturb()
    with site.started("sweep") as command:
        ended(command)
    assert site.ours() == []
    assert left.vm == "vm-1"
    assert digests(site.convert("--include", "vm-1", *WORKERS)) == {"vm-1": undisturbed["vm-1"]}


def test_a_snapshot_that_hangs_is_left_to_the_next_run(site: Site, undisturbed: Mapping[str, str]) -> None:
    """The command has to leave before vCenter has answered; the snapshot is made all the same."""
    site.simulator.inject(slow(CREATE, 8, count=1))
    with site.converting("--include", "vm-1", "--grace-seconds", "3", *WORKERS) as command:
        site.until_called(CREATE)
        command.signal(signal.SIGTERM)
        ended(command, ExitCode.INTERRUPTED)
        assert "orchestrate sweep" in command.said
    assert site.ours() == []
    assert digests(site.convert("--include", "vm-1", *WORKERS)) == {"vm-1": undisturbed["vm-1"]}
    assert site.simulator.count(REMOVE) >= 2
