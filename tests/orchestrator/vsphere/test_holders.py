"""A VM that others need now is put off, and nothing is asked of it."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator

import pytest
from pyVmomi import vim

from deploy.demo.simulator import Rule, Simulator
from orchestrator.errors import BackupRunningError, HeldError, HostAwayError, PutOffError
from orchestrator.failures import failure_of
from orchestrator.vsphere import removal, snapshot, tasks
from orchestrator.vsphere.marker import Marker
from orchestrator.vsphere.session import Session
from orchestrator.vsphere.values import QuiescePolicy
from tests.waiting import until

Moref = Callable[[str], str]
VEEAM = "VEEAM BACKUP TEMPORARY SNAPSHOT"
PREFER = QuiescePolicy.PREFER


@pytest.fixture
def backup(session: Session, moref: Moref) -> Iterator[None]:
    """A backup product has its snapshot on the VM ``pinned``."""
    vm = session.managed(vim.VirtualMachine, moref("pinned"))
    made = tasks.wait(session, vm.CreateSnapshot_Task(VEEAM, "", False, False))
    yield
    tasks.wait(session, made.RemoveSnapshot_Task(False, True))


@pytest.fixture
def hosts(simulator: Simulator) -> Iterator[Callable[[str], None]]:
    """Puts all ESXi hosts into a state; in the end they are connected."""

    def put(state: str) -> None:
        for number in (0, 1):
            simulator.set_host(f"esx-{number}.example.com", state)

    yield put
    put("connected")


def create(session: Session, vm: str, marker: Marker) -> None:
    removal.remove(session, snapshot.create(session, vm, marker, PREFER), 0.02)


def test_a_backup_is_waited_for_and_its_snapshot_stays(
    backup: None, session: Session, moref: Moref, marker: Marker, simulator: Simulator
) -> None:
    simulator.forget_calls()
    with pytest.raises(BackupRunningError, match=f"Veeam .* is at work on pinned: .*{VEEAM}") as raised:
        create(session, moref("pinned"), marker)
    failure = failure_of(pickle.loads(pickle.dumps(raised.value)))
    assert (failure.kind, failure.put_off, failure.untouched) == ("backup-running", True, True)
    assert simulator.count("CreateSnapshot_Task") == simulator.count("RemoveSnapshot_Task") == 0
    assert [one.name for one in simulator.snapshots() if one.vm == "pinned"] == [VEEAM]


def test_a_backup_that_was_forgotten_is_not_waited_for(
    backup: None, session: Session, moref: Moref, marker: Marker, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = session.current_time() + 25 * 3600
    monkeypatch.setattr(session, "current_time", lambda: later)
    create(session, moref("pinned"), marker)


def test_a_task_of_others_is_waited_for(
    session: Session, moref: Moref, marker: Marker, simulator: Simulator
) -> None:
    simulator.occupy("pinned", "relocate", seconds=1)
    with pytest.raises(HeldError, match=r"at work on pinned: VirtualMachine\.relocate"):
        create(session, moref("pinned"), marker)
    assert simulator.count("CreateSnapshot_Task") == 0

    def free() -> bool:
        try:
            create(session, moref("pinned"), marker)
        except HeldError:
            return False
        return True

    until(free, 10.0)


@pytest.mark.parametrize("fault", ["TaskInProgress", "MethodDisabled"])
def test_a_call_that_comes_too_late_is_put_off_too(
    session: Session, moref: Moref, marker: Marker, simulator: Simulator, fault: str
) -> None:
    simulator.inject(Rule("CreateSnapshot_Task", fault=fault))
    with pytest.raises(HeldError, match=f"snapshot of pinned: {fault}") as raised:
        create(session, moref("pinned"), marker)
    assert not raised.value.untouched  # it was asked for, so it is looked for


@pytest.mark.parametrize("state", ["disconnected", "notResponding"])
def test_a_host_that_is_away_is_waited_for(
    session: Session, moref: Moref, marker: Marker, hosts: Callable[[str], None], state: str
) -> None:
    hosts(state)
    with pytest.raises(HostAwayError, match=rf"host esx-\d.example.com of pinned is {state}"):
        create(session, moref("pinned"), marker)
    hosts("connected")
    create(session, moref("pinned"), marker)


def test_a_host_in_maintenance_mode_is_waited_for(session: Session, moref: Moref, marker: Marker) -> None:
    vm = session.managed(vim.VirtualMachine, moref("pinned"))
    host = vm.runtime.host
    tasks.wait(session, host.EnterMaintenanceMode_Task(0))
    try:
        with pytest.raises(PutOffError, match="in maintenance mode"):
            create(session, vm._moId, marker)
    finally:
        tasks.wait(session, host.ExitMaintenanceMode_Task(0))
    create(session, vm._moId, marker)


@pytest.mark.parametrize("tracking", [False, True])
def test_changed_block_tracking_stays_as_it_was(
    session: Session, moref: Moref, marker: Marker, simulator: Simulator, tracking: bool
) -> None:
    vm = session.managed(vim.VirtualMachine, moref("pinned"))
    tasks.wait(session, vm.ReconfigVM_Task(vim.vm.ConfigSpec(changeTrackingEnabled=tracking)))
    assert vm.config.changeTrackingEnabled is tracking
    simulator.forget_calls()
    create(session, vm._moId, marker)
    assert vm.config.changeTrackingEnabled is tracking
    changing = {"CreateSnapshot_Task", "RemoveSnapshot_Task"}
    assert {call.method for call in simulator.calls() if call.method.endswith("_Task")} == changing
