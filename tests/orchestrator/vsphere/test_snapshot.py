from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from pyVmomi import vim

from deploy.demo.simulator import Rule, Simulator
from orchestrator.errors import (
    GoneError,
    QuiesceError,
    RemovalError,
    SnapshotError,
    SnapshotRefusedError,
    VCenterBusyError,
    VCenterError,
)
from orchestrator.vsphere import removal, snapshot, tasks
from orchestrator.vsphere.marker import Marker, parse_marker
from orchestrator.vsphere.rules import SnapshotLimits
from orchestrator.vsphere.session import Session
from orchestrator.vsphere.values import QuiescePolicy, Refusal, SnapshotRef

Moref = Callable[[str], str]
PREFER = QuiescePolicy.PREFER
FAST = 0.02


@pytest.fixture
def taken(session: Session, moref: Moref, marker: Marker) -> Iterator[SnapshotRef]:
    """A snapshot of ours on a VM that has one of a user, too."""
    found = snapshot.create(session, moref("web/1"), marker, PREFER)
    yield found
    removal.remove(session, found, FAST)


def names(simulator: Simulator, vm: str) -> list[str]:
    return [found.name for found in simulator.snapshots() if found.vm == vm]


def test_a_snapshot_is_quiesced_and_says_whose_it_is(
    taken: SnapshotRef, simulator: Simulator, marker: Marker
) -> None:
    assert names(simulator, "web/1") == ["before upgrade", "orchestrate-job-1"]
    assert taken.quiesced
    assert taken.note == ""
    assert (taken.vm_name, parse_marker(taken.description)) == ("web/1", marker)
    assert abs(taken.created - time.time()) < 60


def test_a_second_attempt_finds_the_first_ones_snapshot(
    session: Session, taken: SnapshotRef, marker: Marker, simulator: Simulator
) -> None:
    again = snapshot.create(session, taken.vm, replace(marker, expires=marker.expires + 60), PREFER)
    assert again == taken
    assert simulator.count("CreateSnapshot_Task") == 1


def test_another_run_makes_its_own(
    session: Session, taken: SnapshotRef, marker: Marker, simulator: Simulator
) -> None:
    other = snapshot.create(session, taken.vm, replace(marker, run="run-2"), PREFER)
    assert other.moref != taken.moref
    removal.remove(session, other, FAST)
    assert [found.moref for found in simulator.snapshots() if found.name == taken.name] == [taken.moref]


def test_removal_leaves_the_users_snapshots_before_and_after(
    session: Session, moref: Moref, marker: Marker, simulator: Simulator
) -> None:
    vm = session.managed(vim.VirtualMachine, moref("twin"))
    ours = snapshot.create(session, vm._moId, marker, PREFER)
    tasks.wait(session, vm.CreateSnapshot_Task("later", "by a person", False, False))
    done = removal.remove(session, ours, FAST)
    assert not done.already_gone
    assert names(simulator, "twin") == ["later"]
    assert removal.remove(session, ours, FAST).already_gone


def test_a_snapshot_that_is_not_ours_is_never_removed(
    session: Session, taken: SnapshotRef, simulator: Simulator
) -> None:
    theirs = next(found for found in simulator.snapshots() if found.name == "before upgrade")
    bare = SnapshotRef(taken.vm, theirs.moref, theirs.name, theirs.description, 0.0)
    with pytest.raises(RemovalError, match="is not ours"):
        removal.remove(session, bare, FAST)
    # A reference that names another's snapshot by moref, with our words: the words decide.
    removal.remove(session, replace(taken, moref=theirs.moref), FAST)
    assert names(simulator, "web/1") == ["before upgrade"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("template", Refusal.TEMPLATE),
        ("managed", Refusal.MANAGED),
        ("tolerant", Refusal.FAULT_TOLERANCE),
        ("rdm", Refusal.PHYSICAL_RDM),
        ("independent", Refusal.INDEPENDENT_DISK),
        ("shared", Refusal.SHARED_DISK),
        ("diskless", Refusal.NO_DISK),
        ("unconsolidated", Refusal.CONSOLIDATION_NEEDED),
        ("deep", Refusal.CHAIN_TOO_DEEP),
        ("cramped", Refusal.DATASTORE_FULL),
    ],
)
def test_refusals_touch_nothing_and_survive_pickling(
    session: Session, moref: Moref, marker: Marker, simulator: Simulator, name: str, reason: Refusal
) -> None:
    with pytest.raises(SnapshotRefusedError, match=f"no snapshot of {name}") as caught:
        snapshot.create(session, moref(name), marker, PREFER)
    assert caught.value.reason == reason
    assert pickle.loads(pickle.dumps(caught.value)).reason == reason
    assert simulator.count("CreateSnapshot_Task") == 0


def test_limits_are_settings(session: Session, moref: Moref, marker: Marker) -> None:
    for name in ("deep", "cramped"):
        made = snapshot.create(
            session, moref(name), marker, PREFER, SnapshotLimits(depth=9, free_fraction=0.01)
        )
        removal.remove(session, made, FAST)


def test_a_vm_that_is_gone(session: Session, marker: Marker) -> None:
    with pytest.raises(GoneError, match="vm-999999 was deleted or unregistered"):
        snapshot.create(session, "vm-999999", marker, PREFER)


@pytest.mark.parametrize("policy", list(QuiescePolicy))
def test_a_vm_that_is_off_needs_no_quiescing(
    session: Session, moref: Moref, marker: Marker, policy: QuiescePolicy
) -> None:
    made = snapshot.create(session, moref("off"), marker, policy)
    removal.remove(session, made, FAST)
    assert (made.quiesced, made.note) == (False, "")


def test_without_tools_policy_decides(session: Session, moref: Moref, marker: Marker) -> None:
    with pytest.raises(QuiesceError, match="VMware Tools do not run"):
        snapshot.create(session, moref("toolless"), marker, QuiescePolicy.REQUIRE)
    made = snapshot.create(session, moref("toolless"), marker, PREFER)
    removal.remove(session, made, FAST)
    assert (made.quiesced, made.note) == (False, "crash-consistent: VMware Tools do not run")


def test_never_does_not_quiesce(session: Session, moref: Moref, marker: Marker) -> None:
    made = snapshot.create(session, moref("pinned"), marker, QuiescePolicy.NEVER)
    removal.remove(session, made, FAST)
    assert not made.quiesced


def test_a_guest_that_cannot_be_quiesced(
    session: Session, moref: Moref, marker: Marker, simulator: Simulator
) -> None:
    simulator.inject(
        Rule("CreateSnapshot_Task", stage="task", fault="ApplicationQuiesceFault", quiesced_only=True)
    )
    with pytest.raises(QuiesceError, match="pinned cannot be quiesced: ApplicationQuiesceFault"):
        snapshot.create(session, moref("pinned"), marker, QuiescePolicy.REQUIRE)
    assert names(simulator, "pinned") == []
    made = snapshot.create(session, moref("pinned"), marker, PREFER)
    removal.remove(session, made, FAST)
    assert not made.quiesced
    assert made.note.startswith("crash-consistent: ApplicationQuiesceFault")


def test_faults_of_creation(session: Session, moref: Moref, marker: Marker, simulator: Simulator) -> None:
    simulator.inject(Rule("CreateSnapshot_Task", stage="task", fault="InsufficientResourcesFault", count=1))
    with pytest.raises(SnapshotError, match="snapshot of pinned: InsufficientResourcesFault"):
        snapshot.create(session, moref("pinned"), marker, PREFER)
    simulator.inject(Rule("CreateSnapshot_Task", fault="TaskInProgress", count=1))
    with pytest.raises(VCenterBusyError, match="snapshot of pinned: TaskInProgress"):
        snapshot.create(session, moref("pinned"), marker, PREFER)


def test_a_missing_privilege_is_named(
    session: Session, moref: Moref, marker: Marker, simulator: Simulator
) -> None:
    simulator.change(denied_privileges=["VirtualMachine.State.CreateSnapshot"])
    with pytest.raises(VCenterError, match=r"VirtualMachine\.State\.CreateSnapshot"):
        snapshot.create(session, moref("pinned"), marker, PREFER)


def test_a_snapshot_whose_answer_was_lost_is_found(
    session: Session, moref: Moref, marker: Marker, simulator: Simulator
) -> None:
    simulator.inject(Rule("CreateSnapshot_Task", stage="reply", drop=True, count=1))
    made = snapshot.create(session, moref("pinned"), marker, PREFER)
    assert names(simulator, "pinned") == [made.name]
    assert simulator.count("CreateSnapshot_Task") == 1
    removal.remove(session, made, FAST)


def test_a_session_that_ends_while_tasks_run(
    session: Session, moref: Moref, marker: Marker, simulator: Simulator
) -> None:
    for method in ("CreateSnapshot_Task", "RemoveSnapshot_Task"):
        simulator.inject(Rule(method, stage="task", delay_ms=600))
    enders = [threading.Timer(delay, simulator.end_sessions) for delay in (0.3, 0.9)]
    for ender in enders:
        ender.start()
    made = snapshot.create(session, moref("pinned"), marker, PREFER)
    done = removal.remove(session, made, FAST)
    for ender in enders:
        ender.join()
    assert done.seconds >= 0.6
    assert names(simulator, "pinned") == []


@pytest.mark.parametrize("stage", ["call", "task"])
def test_a_removal_waits_for_what_holds_the_vm(
    session: Session, taken: SnapshotRef, simulator: Simulator, stage: str
) -> None:
    simulator.inject(Rule("RemoveSnapshot_Task", stage=stage, fault="TaskInProgress", count=3))
    assert not removal.remove(session, taken, FAST).already_gone
    assert simulator.count("RemoveSnapshot_Task") == 4
    assert names(simulator, "web/1") == ["before upgrade"]


def test_a_removal_whose_answer_was_lost(session: Session, taken: SnapshotRef, simulator: Simulator) -> None:
    simulator.inject(Rule("RemoveSnapshot_Task", stage="reply", drop=True, count=1))
    removal.remove(session, taken, FAST)
    assert names(simulator, "web/1") == ["before upgrade"]


def test_a_removal_that_fails_says_what_to_do(
    session: Session, taken: SnapshotRef, simulator: Simulator
) -> None:
    simulator.inject(Rule("RemoveSnapshot_Task", stage="task", fault="GenericVmConfigFault"))
    with pytest.raises(
        RemovalError, match="orchestrate-job-1 of web/1 is not removed: GenericVmConfigFault"
    ) as caught:
        removal.remove(session, taken, FAST)
    assert "Manage Snapshots" in caught.value.hint
    assert caught.value.retryable
    simulator.reset()


def test_disks_that_need_consolidation_get_it(
    session: Session, taken: SnapshotRef, simulator: Simulator
) -> None:
    simulator.set_consolidation_needed("web/1")
    simulator.inject(Rule("ConsolidateVMDisks_Task", stage="task", fault="FileLocked", count=2))
    assert removal.remove(session, taken, FAST).consolidated
    assert not next(vm for vm in simulator.vms() if vm.name == "web/1").consolidation_needed


def test_consolidation_that_fails_is_told_apart(
    session: Session, taken: SnapshotRef, simulator: Simulator
) -> None:
    simulator.set_consolidation_needed("web/1")
    simulator.inject(Rule("ConsolidateVMDisks_Task", stage="task", fault="NoDiskSpace", count=1))
    with pytest.raises(
        RemovalError, match="is removed, and the VM's disks still need consolidation: NoDiskSpace"
    ):
        removal.remove(session, taken, FAST)
    assert removal.remove(session, taken, FAST).consolidated


def test_own_snapshots_are_found_in_bulk(
    session: Session, taken: SnapshotRef, moref: Moref, marker: Marker, simulator: Simulator
) -> None:
    other = snapshot.create(session, moref("vm-00042"), replace(marker, job="job-2"), PREFER)
    simulator.forget_calls()
    assert snapshot.own(session) == (taken, other)
    assert simulator.count("RetrievePropertiesEx") == 1
    assert snapshot.own(session, "DC0") == (taken,)
    assert snapshot.own(session, "Big") == (other,)
    removal.remove(session, other, FAST)
