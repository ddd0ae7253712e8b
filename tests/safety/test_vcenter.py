"""vCenter ends sessions and leases, refuses calls and fails tasks, in the middle of a run."""

from __future__ import annotations

from collections.abc import Mapping

from deploy.demo.simulator import Rule
from orchestrator.errors import ExitCode
from tests.safety.harness import Site, digests, errors, in_download, slow
from tests.waiting import until


def test_sessions_that_vcenter_ends_are_opened_again(site: Site, undisturbed: Mapping[str, str]) -> None:
    site.simulator.inject(slow("RemoveSnapshot_Task", 2.0, object="big"))
    with site.converting("--workers", "1") as command:
        in_download(site)
        assert site.simulator.end_sessions()
        site.simulator.disturb_downloads()
        site.until_called("RemoveSnapshot_Task")
        assert site.simulator.end_sessions()
        assert command.wait() == ExitCode.OK, command.said
    assert digests(site.report()) == site.tagged() == undisturbed


def test_an_expired_lease_costs_an_attempt(site: Site, undisturbed: Mapping[str, str]) -> None:
    expired = site.simulator.leases().expired
    with site.converting("--workers", "1") as command:
        in_download(site)
        site.simulator.inject(Rule("HttpNfcLeaseProgress", drop=True))
        until(lambda: site.simulator.leases().expired > expired)
        site.undisturb()
        assert command.wait() == ExitCode.OK, command.said
    (error,) = site.report()["big"]["errors"]
    assert error["stage"] == "download" and error["kind"] in ("lease", "stream")
    assert digests(site.report()) == site.tagged() == undisturbed


def test_disks_that_need_consolidation_afterwards_are_consolidated(
    site: Site, undisturbed: Mapping[str, str]
) -> None:
    with site.converting("--workers", "1") as command:
        in_download(site)
        site.simulator.set_consolidation_needed("big")
        site.simulator.disturb_downloads()
        assert command.wait() == ExitCode.OK, command.said
    assert not any(vm.consolidation_needed for vm in site.simulator.vms())
    assert digests(site.report()) == undisturbed


def test_each_fault_costs_its_own_vm_only(site: Site, undisturbed: Mapping[str, str]) -> None:
    """One cannot be quiesced and keeps its snapshot for a while, one never gets any, one is busy at first."""
    create, remove = "CreateSnapshot_Task", "RemoveSnapshot_Task"
    for rule in (
        Rule(create, "task", "big", "ApplicationQuiesceFault", quiesced_only=True),
        Rule(remove, "task", "big", "FileLocked", count=1),
        Rule(remove, "task", "big", "FileFault", count=1),
        Rule(create, "task", "little", "FileFault"),
        Rule(create, "call", "other", "TaskInProgress", count=1),
    ):
        site.simulator.inject(rule)
    jobs = site.convert("--workers", "2", status=ExitCode.SOME_FAILED)
    assert {name: job["state"] for name, job in jobs.items()} == {
        "big": "done",
        "little": "failed",
        "other": "done",
    }
    assert "crash-consistent" in jobs["big"]["reason"]
    assert errors(jobs["big"]) == [("release", "removal")]
    assert site.simulator.count(remove) == 3 + 1
    assert errors(jobs["little"]) == [("snapshot", "snapshot")]
    assert "FileFault" in jobs["little"]["errors"][0]["message"]
    assert errors(jobs["other"]) == [("snapshot", "vcenter-busy")]
    assert site.ours() == []
    site.undisturb()
    assert digests(site.convert("--workers", "1")) == site.tagged() == undisturbed
