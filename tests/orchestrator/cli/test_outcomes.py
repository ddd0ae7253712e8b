"""How a command ends, as a person sees it: the exit status, what happened, and what to do next."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from deploy.demo import guests
from deploy.demo.registry import registry
from deploy.demo.simulator import Download, Simulator
from orchestrator.errors import ExitCode
from tests.kernel import needs_root
from tests.orchestrator.cli.conftest import LARGE, Orchestrate, Start
from tests.waiting import until

NOWHERE = "127.0.0.1:9"


def test_some_fail_for_reasons_that_are_told_and_a_second_run_does_nothing_again(
    orchestrate: Orchestrate, environment: Mapping[str, str], simulator: Simulator
) -> None:
    said = orchestrate("--exclude", "big")
    assert said.status == ExitCode.SOME_FAILED, said.err
    assert "1 of 3 VMs converted" in said.out
    report = json.loads((Path(environment["ORCHESTRATE_OUTPUT"]) / "report.json").read_text())
    jobs = {job["vm"]: job for job in report["run"]["jobs"]}
    assert jobs["little"]["image"]["reference"] in said.out
    for broken in ("broken", "no-linux"):
        assert jobs[broken]["state"] == "failed"
        assert [error["kind"] for error in jobs[broken]["errors"]] == ["no-linux"]

    assert jobs["little"]["image"]["reference"] in orchestrate("status", "--all").out
    assert "no Linux root" in orchestrate("status").out

    simulator.forget_calls()
    again = orchestrate("--include", "little")
    assert again.status == ExitCode.OK
    assert "1 VM by an earlier run, unchanged since" in again.out
    assert simulator.count("CreateSnapshot_Task") == 0
    assert "1 done" in orchestrate("status").out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--include", "nothing"), ("none of the 4 VMs of DC0 matches nothing", "--include")),
        (("--datacenter", "DC9"), ("DC9", "DC0", "Large")),
        (("status",), ("no run yet",)),
    ],
)
def test_nothing_matched(
    orchestrate: Orchestrate, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    said = orchestrate(*arguments)
    assert said.status == ExitCode.NOTHING_MATCHED
    for word in words:
        assert word in said.out + said.err


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"GOVC_PASSWORD": "wrong"}, ("refuses the user name or password",)),
        ({"GOVC_TLS_CA_CERTS": ""}, ("is not trusted", "thumbprint is", "--ca-file", "--thumbprint")),
        ({"GOVC_URL": f"https://{NOWHERE}/sdk"}, (NOWHERE,)),
        ({"ORCHESTRATE_REGISTRY": f"{NOWHERE}/vms", "ORCHESTRATE_REGISTRY_PATIENCE": "0"}, (NOWHERE,)),
    ],
    ids=["password", "certificate", "vcenter", "registry"],
)
def test_what_cannot_be_reached_or_refuses_us(
    orchestrate: Orchestrate, simulator: Simulator, variables: dict[str, str], words: tuple[str, ...]
) -> None:
    said = orchestrate(**variables)
    assert said.status == ExitCode.CANNOT_CONNECT
    for word in words:
        assert word in said.err
    assert "→" in said.err, "what to do next"
    assert simulator.count("CreateSnapshot_Task") == 0


def test_a_registry_that_refuses_the_user(orchestrate: Orchestrate, simulator: Simulator) -> None:
    with registry(users={"pusher": "right"}) as guarded:
        place = {"ORCHESTRATE_REGISTRY": f"{guarded.address}/vms", "ORCHESTRATE_REGISTRY_USERNAME": "pusher"}
        refused = orchestrate(ORCHESTRATE_REGISTRY_PASSWORD="wrong", **place)
        assert refused.status == ExitCode.CANNOT_CONNECT
        assert "401" in refused.err and "--registry-username" in refused.err
        assert simulator.count("CreateSnapshot_Task") == 0
        taken = orchestrate("--include", "little", ORCHESTRATE_REGISTRY_PASSWORD="right", **place)
        assert taken.status == ExitCode.OK, taken.err


@pytest.mark.parametrize("privilege", ["VirtualMachine.State.RemoveSnapshot", "VApp.Export"])
def test_a_missing_privilege_ends_the_run_before_the_first_snapshot(
    orchestrate: Orchestrate, simulator: Simulator, privilege: str
) -> None:
    simulator.change(denied_privileges=[privilege])
    said = orchestrate("--include", "little")
    assert said.status == ExitCode.CANNOT_CONNECT
    assert f"{privilege} on the VMs: missing on 1 of 1: little" in said.err
    assert "add " in said.err
    assert simulator.count("CreateSnapshot_Task") == 0
    planned = orchestrate("--include", "little", "--dry-run")
    assert planned.status == ExitCode.OK
    assert privilege in planned.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--no-such-flag",), "--no-such-flag"),
        (("fly",), "fly"),
        (("--attempts", "none"), "--attempts"),
        (("--attempts", "0"), "--attempts"),
        (("--datacenter", ""), "--datacenter NAME"),
        (("--registry", ""), "--registry HOST[:PORT]/PREFIX"),
        (("--tag", "v1", "status"), "status does not take it"),
        (("--datacenter", "DC0", "sweep"), "orchestrate sweep --datacenter"),
        (("--vcenter", "https://root:hunter2@vc.example/sdk"), "--password-file"),
        (("--password-file", "/nonexistent"), "/nonexistent"),
        (("--config", "/nonexistent"), "/nonexistent"),
        (("check", "--registry", ""), "--registry HOST[:PORT]/PREFIX"),
        (("convert",), "DISK"),
    ],
)
def test_wrong_words(orchestrate: Orchestrate, arguments: tuple[str, ...], words: str) -> None:
    said = orchestrate(*arguments)
    assert said.status == ExitCode.USAGE
    assert words in said.err
    assert "hunter2" not in said.out + said.err


def test_a_configuration_file_says_the_same_as_flags(orchestrate: Orchestrate, tmp_path: Path) -> None:
    config = tmp_path / "orchestrate.yaml"
    config.write_text("datacenter: Large\ndry-run: true\ninclude: ['vm-0000*']\n")
    said = orchestrate("--config", str(config), GOVC_DATACENTER="")
    assert said.status == ExitCode.OK, said.err
    assert "10 would be converted" in said.out
    misplaced = orchestrate("--config", str(config), "status")
    assert misplaced.status == ExitCode.USAGE
    assert "orchestrate status --config" in misplaced.err
    config.write_text("datacentre: Large\n")
    assert orchestrate("--config", str(config)).status == ExitCode.USAGE


def test_a_thousand_vms_are_assessed_in_one_go_and_nothing_is_changed(
    orchestrate: Orchestrate, simulator: Simulator, environment: Mapping[str, str]
) -> None:
    made = simulator.leases().made
    said = orchestrate("--datacenter", "Large", "--dry-run")
    assert said.status == ExitCode.OK
    assert f"{LARGE:,} would be converted, 0 done and unchanged, 0 skipped" in said.out
    assert f"vm-{LARGE - 1:05}" in said.out
    assert simulator.count("CreateSnapshot_Task") == 0
    assert simulator.leases().made == made
    assert sum(call.count for call in simulator.calls()) < 60
    assert orchestrate("status").status == ExitCode.NOTHING_MATCHED


@pytest.mark.root
@needs_root
def test_scratch_that_is_full_costs_the_vm_that_is_too_large_and_no_other(
    orchestrate: Orchestrate, small_disk: Path
) -> None:
    said = orchestrate(
        "--include", "big", "--include", "little", "--scratch", str(small_disk), "--attempts", "1"
    )
    assert said.status == ExitCode.SOME_FAILED, said.err
    assert "1 of 2 VMs converted" in said.out
    assert "the scratch folder is full" in said.out and "--scratch" in said.out


def test_convert_says_what_is_wrong_with_a_disk(orchestrate: Orchestrate, tmp_path: Path) -> None:
    garbage = orchestrate("convert", str(guests.garbage().raw))
    windows = orchestrate("convert", str(guests.windows().raw))
    for said in (garbage, windows):
        assert said.status == ExitCode.SOME_FAILED
        assert "no Linux" in said.err
        assert "→" in said.err
    first, hint = garbage.err.splitlines()
    assert "disk 0 holds no partition table and no file system" in first
    assert "another disk" in hint and "blkid -p" in hint
    assert "disk 0 partition 1 holds ntfs" in windows.err
    absent = orchestrate("convert", str(tmp_path / "absent.vmdk"))
    assert absent.status == ExitCode.SOME_FAILED
    assert "absent.vmdk" in absent.err


def test_status_shows_a_run_at_work_and_when_it_has_ended(
    orchestrate: Orchestrate, start: Start, simulator: Simulator
) -> None:
    simulator.disturb_downloads(Download(vm="big", rate=8 << 20))
    with start("--include", "big") as run:
        until(lambda: "at work" in orchestrate("status").out, 60)
        until(lambda: simulator.leases().open, 60)
        during = orchestrate("status").out
        assert "big" in during and "snapshot orchestrate-" in during
        assert "orchestrate sweep" not in during, "its snapshots are in good hands"
        assert run.wait(60) == ExitCode.OK
    after = orchestrate("status")
    assert ": done" in after.out and "1 done" in after.out
