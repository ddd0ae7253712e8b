"""A sweep removes what dead runs left, beside other work, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from pyVmomi import vim

from deploy.demo.fleet import Datacenter, Disk, Fleet, Machine
from deploy.demo.simulator import Rule, Simulator
from orchestrator import sweep as sweeping_module
from orchestrator.fleet.surroundings import Leftovers
from orchestrator.ledger import EnlistedVm, Ledger, RunLedger
from orchestrator.leftovers import look
from orchestrator.sweep import begin, forget, sweep
from orchestrator.vsphere import tasks
from orchestrator.vsphere.client import VCenter
from orchestrator.vsphere.marker import Marker, format_marker
from orchestrator.vsphere.session import connect
from orchestrator.vsphere.settings import VCenterSettings
from orchestrator.vsphere.values import QuiescePolicy, VirtualMachine
from tests.conftest import StartSimulator
from tests.waiting import until

NAMES = ("web", "db", "mail")


@pytest.fixture
def simulator(start_simulator: StartSimulator) -> Iterator[Simulator]:
    machines = tuple(Machine(name, disks=(Disk(capacity=1 << 30),)) for name in NAMES)
    started = start_simulator(Fleet((Datacenter("DC0", vms=machines),)))
    started.forget_calls()
    yield started
    started.reset()
    assert started.snapshots() == []
    assert started.sessions() == []


@pytest.fixture
def settings(simulator: Simulator) -> VCenterSettings:
    return VCenterSettings.parse(
        simulator.url, simulator.username, SecretStr(simulator.password), ca_file=str(simulator.ca_file)
    )


@pytest.fixture
def vcenter(settings: VCenterSettings) -> Iterator[VCenter]:
    with VCenter(settings) as connected:
        yield connected


@pytest.fixture
def vms(vcenter: VCenter) -> dict[str, VirtualMachine]:
    return {vm.name: vm for vm in vcenter.inventory("DC0").vms}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "ledger.sqlite") as opened:
        yield opened


@pytest.fixture
def dead(ledger: Ledger, vcenter: VCenter, vms: dict[str, VirtualMachine]) -> RunLedger:
    """A run that has ended, with a snapshot asked for on each VM; the job is called as the VM."""
    run = ledger.begin_run(vcenter.about().instance_uuid, "/DC0")
    run.enlist([EnlistedVm(name, vm.instance_uuid, vm.moref, name, "", name) for name, vm in vms.items()])
    for name, vm in vms.items():
        run.snapshot_intended(name, vm.moref, f"orchestrate-{name}")
    run.end("died")
    return run


def marker(ledger: Ledger, run: RunLedger, job: str) -> Marker:
    return Marker(ledger.id, run.id, job, float(int(time.time()) + 3600))


def make(vcenter: VCenter, vm: VirtualMachine, marked: Marker) -> str:
    return vcenter.create_snapshot(vm.moref, marked, QuiescePolicy.NEVER).name


def unmerged(simulator: Simulator) -> set[str]:
    """The VMs whose disks need consolidation."""
    return {vm.name for vm in simulator.vms() if vm.consolidation_needed}


def test_runs_of_a_ledgers_copy_are_left_alone(
    vcenter: VCenter, ledger: Ledger, vms: dict[str, VirtualMachine], simulator: Simulator
) -> None:
    """Of two copies of a ledger neither knows what the other has begun since."""
    made = make(vcenter, vms["web"], Marker(ledger.id, "begun-in-the-copy", "web", 1e9))
    swept = sweep(vcenter, ledger)
    assert [(snapshot.name, "copied" in why) for snapshot, why in swept.left_alone] == [(made, True)]
    assert made in [found.name for found in simulator.snapshots()]
    vcenter.withdraw_snapshot(vms["web"].moref, Marker(ledger.id, "begun-in-the-copy", "web", 1e9))


def test_a_look_tells_what_a_sweep_would_do_and_changes_nothing(
    vcenter: VCenter,
    ledger: Ledger,
    dead: RunLedger,
    vms: dict[str, VirtualMachine],
    settings: VCenterSettings,
    simulator: Simulator,
) -> None:
    ours = make(vcenter, vms["web"], marker(ledger, dead, "web"))
    theirs = make(vcenter, vms["web"], Marker("another", "run-9", "web", 1e9))
    description = format_marker(marker(ledger, dead, "db"))
    with connect(settings) as session:
        target = session.managed(vim.VirtualMachine, vms["db"].moref)
        kept = tasks.wait(session, target.CreateSnapshot_Task("keep this", description, False, False))
        before = ledger.open_snapshots()

        found = look(vcenter, ledger, "/DC0", ledger.live_runs)
        assert [snapshot.name for snapshot in found.mine] == [ours]
        assert {snapshot.name: why for snapshot, why in found.left_alone} == {
            theirs: "another ledger's",
            "keep this": "somebody renamed it, who may want to keep it; it was orchestrate-db",
        }
        assert [intended.job for intended in found.unseen] == ["mail"]
        assert (ledger.open_snapshots(), len(simulator.snapshots())) == (before, 3)

        swept = sweep(vcenter, ledger, "/DC0")
        assert ([snapshot.name for snapshot in swept.removed], swept.failed) == ([ours], ())
        assert sorted(snapshot.name for snapshot in simulator.snapshots()) == ["keep this", theirs]
        tasks.wait(session, kept.RemoveSnapshot_Task(False, True))
    vcenter.withdraw_snapshot(vms["web"].moref, Marker("another", "run-9", "web", 1e9))


def test_a_run_that_begins_during_the_look_is_not_swept(
    vcenter: VCenter, ledger: Ledger, vms: dict[str, VirtualMachine]
) -> None:
    begun: list[RunLedger] = []

    def live() -> frozenset[str]:
        at_work = ledger.live_runs()
        run = ledger.begin_run(vcenter.about().instance_uuid, "/DC0")
        begun.append(run)
        run.enlist([EnlistedVm("web", vms["web"].instance_uuid, vms["web"].moref, "web", "", "web")])
        run.snapshot_intended("web", vms["web"].moref, "orchestrate-web")
        make(vcenter, vms["web"], marker(ledger, run, "web"))
        return at_work

    found = look(vcenter, ledger, "/DC0", live)
    assert (found.mine, found.unseen) == ((), ())
    vcenter.withdraw_snapshot(vms["web"].moref, marker(ledger, begun[0], "web"))


def test_a_removal_that_lasts_holds_up_neither_the_others_nor_the_run(
    vcenter: VCenter, ledger: Ledger, dead: RunLedger, vms: dict[str, VirtualMachine], simulator: Simulator
) -> None:
    for name in NAMES:
        make(vcenter, vms[name], marker(ledger, dead, name))
    simulator.inject(Rule("RemoveSnapshot_Task", stage="task", object="db", delay_ms=1500))
    with begin(vcenter, ledger, "/DC0") as sweeping:
        swept = sweeping.wait(0.7)
        assert {snapshot.vm_name for snapshot in swept.removed} == {"web", "mail"}
        assert [snapshot.vm_name for snapshot in swept.going_on] == ["db"]
        begun = time.monotonic()
        assert sweeping.wait(stopping=lambda: True).going_on
        assert time.monotonic() - begun < 0.5
        assert len(sweeping.wait().removed) == 3
    assert ledger.open_snapshots() == ()


def test_removals_that_hang_hold_up_no_others_and_keep_their_places_in_the_budgets(
    vcenter: VCenter,
    ledger: Ledger,
    dead: RunLedger,
    vms: dict[str, VirtualMachine],
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweeping_module, "_AT_ONCE", 1)
    for name in ("db", "web", "mail"):
        make(vcenter, vms[name], marker(ledger, dead, name))
    simulator.inject(Rule("RemoveSnapshot_Task", stage="task", object="db", delay_ms=3000))
    told: list[Leftovers] = []
    with begin(vcenter, ledger, "/DC0", hanging=0.3) as sweeping:
        sweeping.tell(told.append)
        until(lambda: len(sweeping.wait(0).removed) == 2, 2.5)
        assert [snapshot.vm_name for snapshot in sweeping.wait(0).going_on] == ["db"]
        assert told[-1] == Leftovers({"datastore-0": 1}, {})
        sweeping.wait()
    assert told[0] == Leftovers({"datastore-0": 3}, {})
    assert told[-1] == Leftovers({}, {})


def test_what_stays_is_told_apart_from_what_is_being_removed(
    vcenter: VCenter, ledger: Ledger, dead: RunLedger, vms: dict[str, VirtualMachine], simulator: Simulator
) -> None:
    make(vcenter, vms["db"], marker(ledger, dead, "db"))
    simulator.inject(Rule("RemoveSnapshot_Task", stage="task", fault="GenericVmConfigFault"))
    told: list[Leftovers] = []
    with begin(vcenter, ledger, "/DC0") as sweeping:
        sweeping.tell(told.append)
        sweeping.wait()
    assert told[-1] == Leftovers({}, {"datastore-0": 1})
    simulator.reset()
    assert len(sweep(vcenter, ledger, "/DC0").removed) == 1


def test_disks_that_a_sweep_left_unmerged_when_it_died_are_merged_by_the_next(
    settings: VCenterSettings,
    vcenter: VCenter,
    ledger: Ledger,
    dead: RunLedger,
    vms: dict[str, VirtualMachine],
    simulator: Simulator,
) -> None:
    """The first one's snapshot is off the tree then; on another VM nothing was ever made."""
    make(vcenter, vms["web"], marker(ledger, dead, "web"))
    simulator.inject(Rule("RemoveSnapshot_Task", stage="task", delay_ms=500))
    simulator.inject(Rule("RemoveSnapshot_Task", stage="after", unmerged=True))
    with VCenter(settings) as killed, begin(killed, ledger, "/DC0"):
        until(lambda: simulator.count("RemoveSnapshot_Task"))
    until(lambda: simulator.snapshots() == [])
    simulator.set_consolidation_needed("db")
    until(lambda: unmerged(simulator) == {"db", "web"})
    with VCenter(settings) as another:
        swept = sweep(another, ledger, "/DC0")
    assert [snapshot.name for snapshot in swept.removed] == ["orchestrate-web"]
    assert unmerged(simulator) == {"db"}
    assert {opened.job for opened in ledger.open_snapshots()} == {"db", "mail"}
    simulator.set_consolidation_needed("db", False)


def test_a_sweep_that_is_left_ends_with_the_session(
    settings: VCenterSettings,
    vcenter: VCenter,
    ledger: Ledger,
    dead: RunLedger,
    vms: dict[str, VirtualMachine],
    simulator: Simulator,
) -> None:
    make(vcenter, vms["web"], marker(ledger, dead, "web"))
    simulator.inject(Rule("RemoveSnapshot_Task", stage="task", delay_ms=1000))
    with connect(settings) as session:
        target = session.managed(vim.VirtualMachine, vms["web"].moref)
        with VCenter(settings) as other, begin(other, ledger, "/DC0") as sweeping:
            until(lambda: tasks.at_work(session, target, tasks.REMOVAL))
    failed = {snapshot.vm: why for snapshot, why in sweeping.wait(5).failed}
    assert "is closed" in failed[vms["web"].moref]
    until(lambda: simulator.snapshots() == [])


def test_what_a_dead_run_asked_for_last_is_waited_for(
    vcenter: VCenter,
    ledger: Ledger,
    dead: RunLedger,
    vms: dict[str, VirtualMachine],
    settings: VCenterSettings,
) -> None:
    """Its process was killed while vCenter made the snapshot."""
    wanted = marker(ledger, dead, "web")
    with connect(settings) as session:
        target = session.managed(vim.VirtualMachine, vms["web"].moref)
        target.CreateSnapshot_Task(wanted.name, format_marker(wanted), False, False)
        swept = sweep(vcenter, ledger, "/DC0")
    assert [snapshot.name for snapshot in swept.removed] == [wanted.name]
    assert {intended.job for intended in swept.unseen} == {"db", "mail"}
    forget(ledger, swept.unseen)
    assert ledger.open_snapshots() == ()


def test_disks_are_consolidated_where_a_dead_runs_snapshot_was_and_nowhere_else(
    vcenter: VCenter,
    ledger: Ledger,
    dead: RunLedger,
    vms: dict[str, VirtualMachine],
    simulator: Simulator,
) -> None:
    make(vcenter, vms["web"], marker(ledger, dead, "web"))
    for vm in ("web", "db"):
        simulator.set_consolidation_needed(vm)
    sweep(vcenter, ledger, "/DC0")
    assert unmerged(simulator) == {"db"}
    simulator.set_consolidation_needed("db", False)
