"""Our snapshots go, whatever vCenter does meanwhile, and no others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from pyVmomi import vim, vmodl

from deploy.demo.simulator import Rule, Simulator
from orchestrator.errors import RemovalError
from orchestrator.vsphere import answers, insistence, properties, removal, snapshot, tasks
from orchestrator.vsphere.marker import Marker, format_marker
from orchestrator.vsphere.session import Session
from orchestrator.vsphere.values import QuiescePolicy, SnapshotRef

Moref = Callable[[str], str]
PREFER = QuiescePolicy.PREFER
FAST = 0.02


@pytest.fixture
def taken(session: Session, moref: Moref, marker: Marker) -> Iterator[SnapshotRef]:
    """A snapshot of ours on a VM that has one of a user, too."""
    found = snapshot.create(session, moref("web/1"), marker, PREFER)
    yield found
    removal.remove(session, found, FAST)


class Withholding(answers.PageStub):
    """As vCenter answers an account whose role on the VM was revoked."""

    withheld = "snapshot"

    def InvokeMethod(self, mo: Any, info: Any, args: Any) -> answers.Page:
        page = super().InvokeMethod(mo, info, args)
        return replace(page, objects=tuple(map(self._without, page.objects)))

    def _without(self, found: answers.Found) -> answers.Found:
        values = {path: value for path, value in found.values.items() if path != self.withheld}
        missing = vmodl.query.PropertyCollector.MissingProperty(
            path=self.withheld, fault=vim.fault.NoPermission(privilegeId="System.Read")
        )
        return replace(found, values=values, missing=[missing])


def names(simulator: Simulator, vm: str) -> list[str]:
    return [found.name for found in simulator.snapshots() if found.vm == vm]


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


def test_a_refusal_says_where_the_snapshot_stands_and_what_to_do(
    session: Session, taken: SnapshotRef, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulator.inject(Rule("RemoveSnapshot_Task", stage="task", fault="FileLocked"))
    monkeypatch.setattr(insistence, "REFUSED_SECONDS", 0.2)
    later = session.current_time() + 2 * 3600
    monkeypatch.setattr(session, "current_time", lambda: later)
    with pytest.raises(RemovalError) as caught:
        removal.remove(session, taken, FAST)
    simulator.reset()
    assert simulator.count("RemoveSnapshot_Task") > 2
    assert f"{taken.name} of web/1 is not removed: FileLocked" in caught.value.message
    assert "; it has been open for 2.0 hours on datastore-0, where its files have grown to 0 MiB" in (
        caught.value.message
    )
    assert f"on the VM web/1 ({taken.vm}): Snapshots > Manage Snapshots > {taken.name}" in caught.value.hint
    assert f"govc snapshot.remove -vm VirtualMachine:{taken.vm} {taken.name}" in caught.value.hint


def test_a_snapshot_that_somebody_renamed_stays(
    session: Session, moref: Moref, marker: Marker, simulator: Simulator
) -> None:
    vm = session.managed(vim.VirtualMachine, moref("toolless"))
    kept = tasks.wait(session, vm.CreateSnapshot_Task("keep this", format_marker(marker), False, False))
    reference = SnapshotRef(vm._moId, kept._moId, marker.name, format_marker(marker), 0.0, vm_name="toolless")
    with pytest.raises(RemovalError, match="was renamed to 'keep this': it stays") as caught:
        removal.remove(session, reference, FAST)
    assert not caught.value.retryable
    assert names(simulator, "toolless") == ["keep this"]
    tasks.wait(session, kept.RemoveSnapshot_Task(False, True))


def test_a_removal_outlives_a_vcenter_that_restarts(
    session: Session, taken: SnapshotRef, simulator: Simulator
) -> None:
    simulator.inject(Rule("RemoveSnapshot_Task", stage="task", delay_ms=1500, count=1))
    restart = threading.Timer(0.3, simulator.restart, (0.5,))
    restart.start()
    removal.remove(session, taken, FAST)
    restart.join()
    assert names(simulator, "web/1") == ["before upgrade"]


def test_a_removal_that_others_began_is_seen_to_its_end(
    session: Session, moref: Moref, marker: Marker, simulator: Simulator
) -> None:
    simulator.occupy("pinned", "removeSnapshot", seconds=1)
    begun = time.monotonic()
    gone = SnapshotRef(moref("pinned"), "snapshot-0", marker.name, format_marker(marker), 0.0)
    assert removal.remove(session, gone, FAST).already_gone
    assert time.monotonic() - begun >= 0.8


def test_patience_ends_a_wait_for_others_but_no_removal(
    session: Session, taken: SnapshotRef, simulator: Simulator
) -> None:
    simulator.inject(Rule("RemoveSnapshot_Task", fault="TaskInProgress"))
    with pytest.raises(RemovalError, match="is not removed: TaskInProgress"):
        removal.remove(session, taken, FAST, patience=0.3)
    simulator.reset()
    simulator.inject(Rule("RemoveSnapshot_Task", stage="task", delay_ms=700))
    assert removal.remove(session, taken, FAST, patience=0.1).seconds >= 0.7


def test_a_vm_that_was_deleted_has_no_snapshot_of_ours(session: Session, marker: Marker) -> None:
    gone = SnapshotRef("vm-999999", "snapshot-0", marker.name, format_marker(marker), 0.0)
    assert removal.remove(session, gone, FAST).already_gone


def test_a_snapshot_that_was_made_twice_goes_twice(
    session: Session, taken: SnapshotRef, simulator: Simulator
) -> None:
    vm = session.managed(vim.VirtualMachine, taken.vm)
    tasks.wait(session, vm.CreateSnapshot_Task(taken.name, taken.description, False, False))
    assert not removal.remove(session, taken, FAST).already_gone
    assert names(simulator, "web/1") == ["before upgrade"]


def test_a_snapshot_that_vcenter_withholds_is_not_taken_for_gone(
    session: Session, taken: SnapshotRef, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(properties, "PageStub", Withholding)
        with pytest.raises(RemovalError, match=r"does not tell the snapshots of vm-.*System\.Read") as caught:
            removal.remove(session, taken, FAST, patience=0.2)
    assert caught.value.retryable
    assert names(simulator, "web/1") == ["before upgrade", taken.name]
    assert not removal.remove(session, taken, FAST).already_gone


def test_a_vm_whose_host_is_away_may_have_the_snapshot_yet(
    session: Session, moref: Moref, marker: Marker, simulator: Simulator
) -> None:
    hosts = [f"esx-{number}.example.com" for number in range(2)]
    for host in hosts:
        simulator.set_host(host, "notResponding")
    try:
        with pytest.raises(RemovalError, match=r"does not see the VM vm-.*, which is disconnected") as caught:
            removal.withdraw(session, moref("pinned"), marker, FAST, settle=0, patience=0.2)
    finally:
        for host in hosts:
            simulator.set_host(host, "connected")
    assert caught.value.retryable
    assert removal.withdraw(session, moref("pinned"), marker, FAST, settle=0).already_gone


@pytest.fixture
def late(
    session: Session, taken: SnapshotRef, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> Callable[[int], None]:
    """Have vCenter show the VM's snapshots as they are now at so many looks after a removal."""
    ask = properties.one

    def show(looks: int) -> None:
        stale = ask(session, session.managed(vim.VirtualMachine, taken.vm), ("snapshot",))
        left = iter(range(looks))

        def one(session: Session, managed: Any, paths: Sequence[str]) -> properties.Row | None:
            asked = "snapshot" in paths and simulator.count("RemoveSnapshot_Task") > 0
            return stale if asked and next(left, None) is not None else ask(session, managed, paths)

        monkeypatch.setattr(removal, "one", one)

    return show


def test_a_removal_that_vcenter_lists_late_is_not_repeated(
    session: Session, taken: SnapshotRef, simulator: Simulator, late: Callable[[int], None]
) -> None:
    late(3)
    assert removal.remove(session, taken, FAST).seconds >= 0.7, "it pauses 0.1, 0.2 and 0.4 seconds"
    assert simulator.count("RemoveSnapshot_Task") == 1


def test_a_removed_snapshot_that_stays_listed_is_told(
    session: Session,
    taken: SnapshotRef,
    late: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(removal, "_LATE_SECONDS", 0.2)
    late(3)
    with pytest.raises(RemovalError, match="is removed, and lists it yet") as caught:
        removal.remove(session, taken, FAST, patience=0)
    assert caught.value.retryable


def test_disks_of_a_vm_that_never_had_our_snapshot_are_left(
    session: Session, moref: Moref, marker: Marker, simulator: Simulator
) -> None:
    done = removal.withdraw(session, moref("unconsolidated"), marker, FAST, settle=0)
    assert (done.already_gone, done.consolidated) == (True, False)
    assert simulator.count("ConsolidateVMDisks_Task") == 0


def test_disks_that_a_withdrawal_left_are_consolidated_by_the_next(
    session: Session, taken: SnapshotRef, marker: Marker, simulator: Simulator
) -> None:
    simulator.inject(Rule("RemoveSnapshot_Task", stage="after", unmerged=True, count=1))
    simulator.inject(Rule("ConsolidateVMDisks_Task", stage="task", fault="NoDiskSpace", count=1))
    with pytest.raises(RemovalError, match="still need consolidation: NoDiskSpace"):
        removal.withdraw(session, taken.vm, marker, FAST, settle=0)
    assert removal.withdraw(session, taken.vm, marker, FAST, settle=0).consolidated
    simulator.set_consolidation_needed("web/1")
    assert not removal.withdraw(session, taken.vm, marker, FAST, settle=0).consolidated
    simulator.set_consolidation_needed("web/1", False)


class Reserved(Withholding):
    """As vCenter answers an account that may not read how the VM runs."""

    withheld = "runtime.consolidationNeeded"


def test_consolidation_that_vcenter_keeps_to_itself_is_told(
    session: Session, taken: SnapshotRef, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(properties, "PageStub", Reserved)
        done = removal.remove(session, taken, FAST)
    assert (done.consolidated, "whether the VM's disks need consolidation" in done.note) == (False, True)
    assert names(simulator, "web/1") == ["before upgrade"]
    assert removal.remove(session, taken, FAST).note == ""


def test_a_task_that_makes_it_is_waited_for_no_longer_than_patience_allows(
    session: Session, moref: Moref, marker: Marker, simulator: Simulator
) -> None:
    simulator.occupy("pinned", "createSnapshot", seconds=3)
    begun = time.monotonic()
    with pytest.raises(RemovalError, match=r"is looked for in vain.*is at work still") as caught:
        removal.withdraw(session, moref("pinned"), marker, FAST, settle=0, patience=0.2)
    assert time.monotonic() - begun < 2
    assert caught.value.retryable


def test_what_a_withdrawal_finds_is_told_before_it_is_removed(
    session: Session, taken: SnapshotRef, marker: Marker, simulator: Simulator
) -> None:
    there: list[tuple[str, list[str]]] = []
    removal.withdraw(
        session,
        taken.vm,
        marker,
        FAST,
        settle=0,
        found=lambda moref: there.append((moref, names(simulator, "web/1"))),
    )
    assert there == [(taken.moref, ["before upgrade", taken.name])]


def test_disks_that_a_process_left_unmerged_when_it_died_are_consolidated_by_another(
    session: Session, moref: Moref, marker: Marker, simulator: Simulator
) -> None:
    """Its snapshot is off the tree: only a ledger knows that there was one."""
    simulator.set_consolidation_needed("pinned")
    assert not removal.withdraw(session, moref("pinned"), marker, FAST, settle=0).consolidated
    done = removal.withdraw(session, moref("pinned"), marker, FAST, settle=0, was_made=True)
    assert (done.already_gone, done.consolidated) == (True, True)
