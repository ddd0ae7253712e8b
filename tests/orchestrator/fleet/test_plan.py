"""How VMs are known from run to run, and what is planned for them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.fleet.assess import assess
from orchestrator.fleet.identity import fingerprint, job_ids, key_name, repositories
from orchestrator.fleet.plan import DoneImage, PlannedVm, affinity_groups, candidate, plan_vm
from orchestrator.fleet.states import JobState
from orchestrator.fleet.view import ImageView
from orchestrator.vsphere.values import Inventory, VirtualMachine
from tests.orchestrator.fleet.vms import DISK, make_vm

IMAGE = ImageView("r/web@sha256:1", "sha256:1", 10, 1.0)


def test_a_job_is_the_same_after_a_rename_and_a_vmotion() -> None:
    before, after = make_vm("a", moref="vm-1"), make_vm("b", moref="vm-9", folder="x")
    assert set(job_ids("vc", [before]).values()) == set(job_ids("vc", [after]).values())
    assert job_ids("vc", [before]) != job_ids("other", [before])


def test_copies_with_one_uuid_are_two_jobs() -> None:
    jobs = job_ids("vc", [make_vm(moref="vm-1"), make_vm(moref="vm-2")])
    assert len(set(jobs.values())) == 2


@pytest.mark.parametrize(
    ("name", "key"),
    [("web-01", "web-01"), ("a/b c", "a-b-c"), ("größe", "gr-e"), ("☃", "vm"), ("x" * 80, "x" * 40)],
)
def test_a_key_is_readable(name: str, key: str) -> None:
    assert key_name(name) == key


def named(*vms: VirtualMachine, known: dict[str, str] | None = None) -> dict[str, str]:
    """Repository by VM name."""
    jobs = job_ids("vc", vms)
    found = repositories("r:5000/p/", vms, jobs, known or {})
    return {vm.name: found[jobs[vm.moref]] for vm in vms}


def test_each_vm_has_a_repository_of_its_own() -> None:
    one, two = (
        make_vm("Web", moref="vm-1", instance_uuid="1"),
        make_vm("web", moref="vm-2", instance_uuid="2"),
    )
    found = named(one, two)
    assert len(set(found.values())) == 2
    assert all(repository.startswith("r:5000/p/web") for repository in found.values())


def test_a_renamed_vm_keeps_its_repository_and_a_new_one_does_not_take_it() -> None:
    old = make_vm("renamed", moref="vm-1", instance_uuid="1")
    new = make_vm("web", moref="vm-2", instance_uuid="2")
    job = job_ids("vc", [old])["vm-1"]
    found = named(old, new, known={job: "r:5000/p/web"})
    assert found["renamed"] == "r:5000/p/web"
    assert found["web"] not in (found["renamed"], "")


def test_another_registry_prefix_gives_new_repositories() -> None:
    vm = make_vm("web", instance_uuid="1")
    job = job_ids("vc", [vm])[vm.moref]
    assert named(vm, known={job: "elsewhere/web"}) == {"web": "r:5000/p/web"}


OFF = make_vm(power_state="poweredOff")
ON = make_vm()


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        (OFF, replace(OFF, name="renamed", used_bytes=OFF.used_bytes + 4096), True),
        (OFF, replace(OFF, used_bytes=OFF.used_bytes + (1 << 30)), False),
        (OFF, replace(OFF, disks=(replace(DISK, capacity=DISK.capacity * 2),)), False),
        (OFF, replace(OFF, disks=(DISK, replace(DISK, key=2001))), False),
        (OFF, ON, False),
        (ON, replace(ON, used_bytes=ON.used_bytes + (1 << 30)), True),
        (ON, replace(ON, disks=(replace(DISK, file="[ds2] vm/vm.vmdk"),)), False),
    ],
)
def test_a_fingerprint_changes_with_the_disks(
    before: VirtualMachine, after: VirtualMachine, same: bool
) -> None:
    assert (fingerprint(before) == fingerprint(after)) is same


def planned(vm: VirtualMachine, done: DoneImage | None = None, refresh: bool = False) -> PlannedVm:
    return plan_vm(assess(vm), "job", "r/web", "settings", lambda job: done, refresh)


def test_a_vm_without_an_image_converts() -> None:
    assert planned(OFF).converts


def test_a_done_and_unchanged_vm_stays_done_with_its_image() -> None:
    result = planned(OFF, DoneImage(IMAGE, fingerprint(OFF), "settings"))
    assert (result.state, result.image) == (JobState.DONE, IMAGE)
    assert "--refresh" in result.remedy


@pytest.mark.parametrize(
    ("done", "refresh"),
    [
        (DoneImage(IMAGE, "another", "settings"), False),
        (DoneImage(IMAGE, fingerprint(OFF), "other settings"), False),
        (DoneImage(IMAGE, fingerprint(OFF), "settings"), True),
    ],
)
def test_what_changed_converts_again(done: DoneImage, refresh: bool) -> None:
    assert planned(OFF, done, refresh).converts


def test_a_vm_with_an_obstacle_is_skipped_also_when_it_was_done() -> None:
    vm = make_vm(fault_tolerance=True)
    result = planned(vm, DoneImage(IMAGE, fingerprint(vm), "settings"))
    assert result.state is JobState.SKIPPED and result.reason and result.remedy


def test_a_candidate_tells_what_the_vm_takes() -> None:
    vm = make_vm(moref="vm-7", disks=(DISK, replace(DISK, key=2001)))
    inventory = Inventory("DC0", "/DC0", (vm,), (), (), (frozenset({"vm-7", "vm-8"}), frozenset({"vm-9"})))
    found = candidate(planned(vm), affinity_groups(inventory))
    assert (found.host, found.disks, found.datastores, found.size) == ("esx1", 2, ("ds1",), vm.used_bytes)
    assert found.groups == {"0"}
