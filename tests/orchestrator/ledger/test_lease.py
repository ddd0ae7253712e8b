"""Who has a datacenter: told by processes and heartbeats, whatever clocks say."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from dataclasses import replace

import pytest
from sqlalchemy import event, text

from orchestrator.fleet.states import Job, JobState
from orchestrator.ledger import Ledger, LedgerInUseError, RunClosedError, RunLedger
from tests.orchestrator.ledger.conftest import QUICK, Place, SetClock

SILENCE = QUICK.silent + 1
BEATING = replace(QUICK, beat=0.05, watch=2.0)
HOURS = 3600.0


def move(ledger: Ledger, run: RunLedger) -> None:
    """Let a run be one of another machine's, whose processes cannot be seen from here."""
    with ledger.engine.begin() as connection:
        connection.execute(text("UPDATE runs SET place = 'another' WHERE id = :id"), {"id": run.id})


def test_a_second_run_on_the_same_datacenter_is_told_who_is_at_work(ledger: Ledger, run: RunLedger) -> None:
    with pytest.raises(LedgerInUseError, match=f"{run.id}.*process {os.getpid()}.* 0 seconds ago"):
        ledger.begin_run("vc-1", "/DC0")


def test_runs_over_other_datacenters_go_on_beside_it(ledger: Ledger, run: RunLedger) -> None:
    other = ledger.begin_run("vc-1", "/DC1")
    assert [one.run for one in other.beside] == [run.id]
    assert ledger.begin_run("vc-2", "/DC0").id not in (run.id, other.id)
    assert len(ledger.live_runs()) == 3


def test_an_ended_run_frees_the_datacenter(ledger: Ledger, run: RunLedger) -> None:
    assert run.end("done")
    assert ledger.live_runs() == frozenset()
    ledger.begin_run("vc-1", "/DC0")


def test_a_silent_run_loses_the_datacenter_and_may_begin_nothing_more(
    ledger: Ledger, run: RunLedger, clock: SetClock
) -> None:
    move(ledger, run)
    run.record(Job("j1", JobState.PUBLISHING, attempt=1))
    clock.seconds += SILENCE
    assert ledger.live_runs() == frozenset()
    ledger.begin_run("vc-1", "/DC0")
    assert not run.may_publish("j1", 1)
    with pytest.raises(RunClosedError, match="no snapshot was asked for"):
        run.snapshot_intended("j1", "vm-1", "orchestrate-j1")
    assert ledger.open_snapshots() == ()


def test_a_closed_run_is_told_at_its_next_word(ledger: Ledger, run: RunLedger) -> None:
    told = threading.Event()
    run.when_lost(told.set)
    with ledger.engine.begin() as connection:
        connection.execute(text("UPDATE runs SET ended = 1 WHERE id = :id"), {"id": run.id})
    assert not told.is_set()
    run.event("note", "anything")
    assert told.wait(5)
    assert "closed it" in run.trouble()


def test_a_run_learns_from_its_heartbeat_that_it_was_closed(place: Place, clock: SetClock) -> None:
    with place.open(shared=clock, timing=replace(BEATING, beat=0.5)) as ledger:
        run = ledger.begin_run("vc-1", "/DC0")
        with ledger.engine.begin() as connection:
            connection.execute(text("UPDATE runs SET ended = 1, outcome = 'died'"))
        for _ in range(100):
            if run.trouble():
                break
            run.event("note", "each write is a sign of life too")
        assert run.trouble() == "another orchestrator took this run for dead and closed it"


def test_a_sweep_closes_what_is_dead_before_it_removes_anything(
    ledger: Ledger, run: RunLedger, clock: SetClock
) -> None:
    move(ledger, run)
    clock.seconds += SILENCE
    other = ledger.begin_run("vc-1", "/DC1")
    assert ledger.settle_runs() == {other.id}
    assert not run.may_publish("j1", 0)


@pytest.mark.parametrize("jump", [2 * HOURS, -2 * HOURS], ids=["forward", "back"])
def test_a_clock_that_is_set_makes_no_run_dead(place: Place, jump: float) -> None:
    clock = SetClock()
    with (
        place.open(shared=clock, timing=BEATING) as ledger,
        place.open(shared=clock, timing=BEATING) as other,
    ):
        run = ledger.begin_run("vc-1", "/DC0")
        move(ledger, run)
        clock.seconds += jump
        assert run.id in other.settle_runs()
        with pytest.raises(LedgerInUseError):
            other.begin_run("vc-1", "/DC0")
        assert run.trouble() == ""


def test_a_run_whose_clock_is_another_is_watched(place: Place) -> None:
    theirs, ours = SetClock(name="their machine"), SetClock(name="this machine")
    with (
        place.open(shared=theirs, timing=BEATING) as ledger,
        place.open(shared=ours, timing=BEATING) as other,
    ):
        run = ledger.begin_run("vc-1", "/DC0")
        move(ledger, run)

        def tick(connection: object) -> None:
            theirs.seconds += 1.0

        event.listen(ledger.engine, "begin", tick)
        with pytest.raises(LedgerInUseError, match=run.id):
            other.begin_run("vc-1", "/DC0")


KILLED = """
import os, sys
from orchestrator.ledger import Ledger
run = Ledger(sys.argv[1], sys.stdin.read()).begin_run("vc-1", "/DC0")
print(run.id, flush=True)
os.kill(os.getpid(), 9)
"""


def killed(place: Place) -> str:
    """The run of a process that was killed."""
    command = [sys.executable, "-c", KILLED, place.location]
    process = subprocess.run(command, input=place.password, capture_output=True, text=True)
    assert process.returncode == -9, process.stderr
    return process.stdout.strip()


def test_a_killed_process_frees_the_datacenter_at_once(place: Place) -> None:
    dead = killed(place)
    with place.open(timing=replace(QUICK, watch=600.0)) as ledger:
        assert dead not in ledger.live_runs()
        ledger.begin_run("vc-1", "/DC0").end("done")


def test_a_process_that_got_a_dead_ones_number_does_not_hold_its_datacenter(place: Place) -> None:
    dead = killed(place)
    with place.open(timing=replace(QUICK, watch=600.0)) as ledger:
        with ledger.engine.begin() as connection:
            connection.execute(text("UPDATE runs SET pid = :pid"), {"pid": os.getpid()})
        ledger.begin_run("vc-1", "/DC0")
        assert dead not in ledger.live_runs()


def test_any_write_is_a_sign_of_life(ledger: Ledger, run: RunLedger, clock: SetClock) -> None:
    move(ledger, run)
    clock.seconds += SILENCE
    run.event("note", "still here")
    assert ledger.settle_runs() == {run.id}
    assert run.trouble() == ""


def test_a_run_that_was_lost_with_its_machine_is_waited_for(place: Place) -> None:
    passing = SetClock()
    with place.open(shared=passing) as lost, place.open(shared=passing) as ledger:
        run = lost.begin_run("vc-1", "/DC0")
        move(lost, run)

        def pass_time(connection: object) -> None:
            passing.seconds += 1.0

        event.listen(ledger.engine, "begin", pass_time)
        began = passing.seconds
        assert ledger.begin_run("vc-1", "/DC0").id != run.id
        assert passing.seconds - began > QUICK.silent
