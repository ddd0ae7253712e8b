"""What ``orchestrate sweep`` says of what it removes and of what it cannot."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from pydantic import SecretStr

from converters import process
from deploy.demo.simulator import Rule, Simulator
from orchestrator.errors import ExitCode
from orchestrator.ledger import Ledger
from orchestrator.vsphere.client import VCenter
from orchestrator.vsphere.marker import Marker
from orchestrator.vsphere.settings import VCenterSettings
from orchestrator.vsphere.values import QuiescePolicy
from tests.orchestrator.cli.conftest import Orchestrate, Start
from tests.waiting import until

ROOT = Path(__file__).parents[3]
KILLED_WORKER = """
import os, sys
from pathlib import Path
from orchestrator.scratch import Scratch
(Scratch(Path(sys.argv[1])).attempt("run", "job", 1) / "disk-0.raw").touch()
os._exit(0)
"""


@pytest.fixture
def leftover(simulator: Simulator, environment: Mapping[str, str]) -> Iterator[str]:
    """The name of a snapshot that a dead run of this ledger left on the VM ``big``."""
    with Ledger(environment["ORCHESTRATE_LEDGER"]) as ledger:
        run = ledger.begin_run("vcenter", "/DC0")
        run.end("died")
        marker = Marker(ledger.id, run.id, "job-1", time.time() + 3600)
    settings = VCenterSettings.parse(
        simulator.url,
        simulator.username,
        SecretStr(simulator.password),
        ca_file=str(simulator.ca_file),
    )
    with VCenter(settings) as vcenter:
        (vm,) = (vm for vm in vcenter.inventory("DC0").vms if vm.name == "big")
        yield vcenter.create_snapshot(vm.moref, marker, QuiescePolicy.NEVER).name


def test_what_stays_is_told_with_what_a_person_can_do(
    orchestrate: Orchestrate, simulator: Simulator, leftover: str
) -> None:
    simulator.inject(Rule("RemoveSnapshot_Task", stage="task", fault="GenericVmConfigFault"))
    refused = orchestrate("sweep")
    assert refused.status == ExitCode.SOME_FAILED
    assert "0 snapshots removed, 1 could not be, 0 left alone" in refused.out
    assert "still there: " in refused.out and "Manage Snapshots" in refused.out
    assert "orchestrate sweep" not in refused.out + refused.err, "that is what was just done"
    simulator.reset()
    swept = orchestrate("sweep")
    assert swept.status == ExitCode.OK
    assert "1 snapshot removed, 0 could not be, 0 left alone" in swept.out
    assert leftover in swept.out


def test_a_dry_run_shows_what_would_go_and_changes_nothing(
    orchestrate: Orchestrate, simulator: Simulator, leftover: str
) -> None:
    shown = orchestrate("sweep", "--dry-run")
    assert shown.status == ExitCode.OK
    assert "1 snapshot would be removed, 0 left alone" in shown.out
    assert leftover in shown.out and "would be removed; made 20" in shown.out
    assert [found.name for found in simulator.snapshots() if found.name == leftover] == [leftover]
    assert orchestrate("sweep").status == ExitCode.OK


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name
)
def test_an_interrupted_sweep_logs_out_and_leaves_the_removal_to_vcenter(
    start: Start, simulator: Simulator, leftover: str, number: signal.Signals
) -> None:
    simulator.inject(Rule("RemoveSnapshot_Task", stage="task", delay_ms=7000))
    with start("sweep") as command:
        until(lambda: simulator.count("RemoveSnapshot_Task"))
        asked = simulator.count("RetrievePropertiesEx")
        until(lambda: simulator.count("RetrievePropertiesEx") > asked)  # after the task
        os.kill(command.pid, number)
        begun = time.monotonic()
        assert command.wait(10) == ExitCode.INTERRUPTED
    assert time.monotonic() - begun < 3, "it waited for the removal"
    assert len(simulator.sessions()) == 1, "the test's own"
    until(lambda: leftover not in [found.name for found in simulator.snapshots()])


def test_disks_that_killed_workers_left_on_this_machine_go_too(
    orchestrate: Orchestrate, tmp_path: Path
) -> None:
    process.run([sys.executable, "-c", KILLED_WORKER, str(tmp_path)], cwd=str(ROOT))
    assert list(tmp_path.rglob("disk-0.raw"))
    assert orchestrate("sweep", "--dry-run", "--scratch", str(tmp_path)).status == ExitCode.OK
    assert list(tmp_path.rglob("disk-0.raw")), "a dry run changes nothing"
    swept = orchestrate("sweep", "--scratch", str(tmp_path))
    assert swept.status == ExitCode.OK
    assert "1 folder of ended processes removed" in swept.out
    assert not list(tmp_path.glob("orchestrate-worker-*"))
