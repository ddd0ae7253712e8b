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
    SnapshotError,
    SnapshotRefusedError,
    VCenterBusyError,
    VCenterError,
)
from orchestrator.vsphere import devices, making, removal, snapshot
from orchestrator.vsphere.marker import Marker, format_marker, parse_marker
from orchestrator.vsphere.properties import one
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


@pytest.fixture
def quick() -> SnapshotLimits:
    """A snapshot has a third of a second to be made."""
    return SnapshotLimits(quiesce_minutes=0, slack_seconds=0.3)


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


def test_a_full_datastore_of_a_mounted_iso_image_keeps_no_snapshot_from_being_made(
    session: Session, moref: Moref, marker: Marker
) -> None:
    made = snapshot.create(session, moref("installed"), marker, PREFER)
    removal.remove(session, made, FAST)


def test_another_run_makes_its_own(
    session: Session, taken: SnapshotRef, marker: Marker, simulator: Simulator
) -> None:
    other = snapshot.create(session, taken.vm, replace(marker, run="run-2"), PREFER)
    assert other.moref != taken.moref
    removal.remove(session, other, FAST)
    assert [found.moref for found in simulator.snapshots() if found.name == taken.name] == [taken.moref]


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


def files(session: Session, vm: str) -> list[str]:
    """The files that a VM writes its disks to."""
    row = one(session, session.managed(vim.VirtualMachine, vm), ("config.hardware.device",))
    assert row is not None
    return [disk.file for disk in devices.disks(row.get("config.hardware.device"))]


def test_the_vm_writes_elsewhere_while_its_snapshot_is_there(
    session: Session, moref: Moref, marker: Marker
) -> None:
    before = files(session, moref("pinned"))
    made = snapshot.create(session, moref("pinned"), marker, PREFER)
    assert files(session, moref("pinned")) == [name.replace(".vmdk", "-000001.vmdk") for name in before]
    removal.remove(session, made, FAST)
    assert files(session, moref("pinned")) == before


def test_a_snapshot_that_does_not_hold_the_disks_is_told_and_goes(
    session: Session,
    moref: Moref,
    marker: Marker,
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(snapshot, "VERIFY_SECONDS", 0.1)
    simulator.change(delta_disks=False)
    with pytest.raises(SnapshotError, match=r"of pinned is of no use: the VM goes on to write to disk-\S+"):
        snapshot.create(session, moref("pinned"), marker, PREFER)
    assert not removal.withdraw(session, moref("pinned"), marker, FAST, settle=0).already_gone
    assert names(simulator, "pinned") == []


def test_a_guest_whose_scripts_take_too_long_gets_a_second_snapshot_without_them(
    session: Session, moref: Moref, marker: Marker, simulator: Simulator, quick: SnapshotLimits
) -> None:
    slow = Rule("CreateSnapshotEx_Task", stage="task", delay_ms=20_000, quiesced_only=True)
    simulator.inject(slow)
    made = snapshot.create(session, moref("pinned"), marker, PREFER, quick)
    assert (made.quiesced, made.note) == (False, "crash-consistent: the guest took more than 0 minutes")
    removal.remove(session, made, FAST)
    with pytest.raises(QuiesceError, match="pinned cannot be quiesced: the guest took more than 0"):
        snapshot.create(session, moref("pinned"), marker, QuiescePolicy.REQUIRE, quick)
    assert names(simulator, "pinned") == []


def test_a_hosts_own_time_limit_counts_as_the_guests(
    session: Session,
    moref: Moref,
    marker: Marker,
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(making, "APPEAR_SECONDS", 0.1)
    simulator.inject(Rule("CreateSnapshot_Task", stage="task", fault="Timedout", quiesced_only=True))
    made = snapshot.create(session, moref("pinned"), marker, PREFER)
    removal.remove(session, made, FAST)
    assert made.note.startswith("crash-consistent: Timedout")


def test_a_host_that_takes_too_long_is_tried_again(
    session: Session, moref: Moref, marker: Marker, simulator: Simulator, quick: SnapshotLimits
) -> None:
    simulator.inject(Rule("CreateSnapshot_Task", stage="task", delay_ms=20_000, count=1))
    with pytest.raises(making.SlowSnapshotError, match="not made within 0 minutes") as caught:
        snapshot.create(session, moref("off"), marker, PREFER, quick)
    assert caught.value.retryable
    assert removal.withdraw(session, moref("off"), marker, FAST, settle=0).already_gone


def test_a_snapshot_that_is_faster_than_its_cancellation_is_used(
    session: Session, moref: Moref, marker: Marker, simulator: Simulator, quick: SnapshotLimits
) -> None:
    simulator.inject(Rule("CreateSnapshot_Task", stage="task", delay_ms=800))
    simulator.inject(Rule("CancelTask", fault="NotSupported"))
    made = snapshot.create(session, moref("off"), marker, PREFER, quick)
    removal.remove(session, made, FAST)
    assert simulator.count("CreateSnapshot_Task") == 1


def test_a_snapshot_that_appears_after_its_vm_was_given_up_is_removed(
    session: Session,
    moref: Moref,
    marker: Marker,
    simulator: Simulator,
    quick: SnapshotLimits,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(making, "CANCEL_SECONDS", 0.1)
    simulator.inject(Rule("CreateSnapshot_Task", stage="task", delay_ms=1200))
    simulator.inject(Rule("CancelTask", fault="NotSupported"))
    with pytest.raises(making.SlowSnapshotError, match="still being made") as caught:
        snapshot.create(session, moref("off"), marker, PREFER, quick)
    assert "task-" in caught.value.hint
    assert names(simulator, "off") == []
    assert not removal.withdraw(session, moref("off"), marker, FAST, settle=0).already_gone
    assert names(simulator, "off") == []


def test_a_snapshot_that_is_made_while_vcenter_restarts_is_used(
    session: Session, moref: Moref, marker: Marker, simulator: Simulator
) -> None:
    simulator.inject(Rule("CreateSnapshot_Task", stage="task", delay_ms=1500))
    restart = threading.Timer(0.3, simulator.restart, (0.5,))
    restart.start()
    made = snapshot.create(session, moref("pinned"), marker, PREFER)
    restart.join()
    assert simulator.count("CreateSnapshot_Task") == 1
    removal.remove(session, made, FAST)
    assert names(simulator, "pinned") == []


def test_a_snapshot_that_a_host_makes_after_it_did_not_answer_is_used(
    session: Session, moref: Moref, marker: Marker, simulator: Simulator
) -> None:
    simulator.inject(Rule("CreateSnapshot_Task", stage="task", fault="HostCommunication", count=1))
    vm = session.managed(vim.VirtualMachine, moref("off"))
    description = format_marker(marker)
    host = threading.Timer(0.4, vm.CreateSnapshot_Task, (marker.name, description, False, False))
    host.start()
    made = snapshot.create(session, moref("off"), marker, PREFER)
    host.join()
    assert names(simulator, "off") == [made.name]
    removal.remove(session, made, FAST)
