"""Signals to the command: drain, cancel, leave at once; and what ``orchestrate sweep`` then finds."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping

import pytest

from orchestrator.errors import ExitCode
from tests.safety.harness import Command, Site, digests, in_download, in_push, in_snapshot, slow

DRAINS = "Ctrl-C again cancels"
"""What the command says when it has understood the first one."""
CANCELS = "cancelling and cleaning up"
"""… and the second one, or SIGTERM."""


def states(site: Site) -> dict[str, str]:
    return {name: job["state"] for name, job in site.report().items()}


def assert_a_rerun_does_the_rest(site: Site, undisturbed: Mapping[str, str]) -> None:
    jobs = site.convert("--workers", "1")
    assert {job["state"] for job in jobs.values()} == {"done"}
    assert digests(jobs) == site.tagged() == undisturbed


def test_the_first_ctrl_c_lets_what_is_begun_end(site: Site, undisturbed: Mapping[str, str]) -> None:
    with site.converting("--workers", "1") as command:
        in_download(site)
        command.signal(signal.SIGINT)
        command.until_said(DRAINS)
        site.simulator.reset()
        assert command.wait() == ExitCode.INTERRUPTED, command.said
    assert states(site) == {"big": "done", "little": "cancelled", "other": "cancelled"}
    assert site.simulator.count("CreateSnapshot_Task") == 1
    site.assert_settled()
    assert_a_rerun_does_the_rest(site, undisturbed)


def twice(command: Command) -> None:
    command.signal(signal.SIGINT)
    command.until_said(DRAINS)
    command.signal(signal.SIGINT)


def terminate(command: Command) -> None:
    command.signal(signal.SIGTERM)


@pytest.mark.parametrize(
    ("reach", "interrupt"),
    [(in_snapshot, terminate), (in_download, twice), (in_push, terminate)],
    ids=["sigterm in snapshot", "two ctrl-c in download", "sigterm in push"],
)
def test_a_cancelled_run_cleans_up(
    site: Site,
    undisturbed: Mapping[str, str],
    reach: Callable[[Site], None],
    interrupt: Callable[[Command], None],
) -> None:
    grace = 20
    with site.converting("--workers", "1", "--grace-seconds", str(grace)) as command:
        reach(site)
        interrupt(command)
        begun = time.monotonic()
        assert command.wait() == ExitCode.INTERRUPTED, command.said
        assert time.monotonic() - begun < grace
        assert CANCELS in command.said
    site.undisturb()
    assert set(states(site).values()) == {"cancelled"}
    site.assert_settled()
    assert_a_rerun_does_the_rest(site, undisturbed)


def test_the_third_ctrl_c_leaves_at_once_and_a_sweep_removes_exactly_ours(
    site: Site, undisturbed: Mapping[str, str]
) -> None:
    with site.converting("--workers", "1") as command:
        in_download(site)
        site.simulator.inject(slow("RemoveSnapshot_Task", 6.0))
        twice(command)
        site.until_called("RemoveSnapshot_Task")
        begun = time.monotonic()
        command.signal(signal.SIGINT)
        assert command.wait() == ExitCode.INTERRUPTED, command.said
        assert time.monotonic() - begun < 3
        assert "orchestrate sweep" in command.said
    site.undisturb()
    site.simulator.end_sessions()  # as vCenter does with idle ones
    assert len(site.ours()) == 1
    with site.started("sweep") as command:
        assert command.wait() == ExitCode.OK, command.said
        assert "1 snapshot removed, 0 could not be, 0 left alone" in command.said
    assert site.ours() == []
    assert_a_rerun_does_the_rest(site, undisturbed)


def test_a_sweep_leaves_a_run_at_work_and_other_ledgers_alone(
    site: Site, undisturbed: Mapping[str, str]
) -> None:
    with site.converting("--workers", "1") as command:
        in_download(site)
        with site.started("sweep") as sweep:
            assert sweep.wait() == ExitCode.OK, sweep.said
            assert "0 snapshots removed, 0 could not be, 1 left alone" in sweep.said
        with site.started("sweep", "--ledger", str(site.folder / "another.sqlite")) as sweep:
            assert sweep.wait() == ExitCode.OK, sweep.said
            assert "0 snapshots removed, 0 could not be, 1 left alone" in sweep.said
        site.undisturb()
        assert command.wait() == ExitCode.OK, command.said
    assert digests(site.report()) == undisturbed
