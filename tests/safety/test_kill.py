"""The command, its workers and their children are killed, and the registry goes away in the middle."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping

import pytest

from orchestrator.errors import ExitCode
from tests.safety.harness import Site, digests, errors, in_download, in_push, in_release, in_snapshot
from tests.waiting import until

WORKER, READER = "multiprocessing-fork", "converters.reader.child"
"""What stands in the arguments of a local worker, and of the process that reads a disk for it."""


@pytest.mark.parametrize("reach", [in_snapshot, in_download, in_push, in_release])
def test_the_command_is_killed_and_one_rerun_does_the_rest(
    site: Site,
    undisturbed: Mapping[str, str],
    reach: Callable[[Site], None],
) -> None:
    with site.converting("--workers", "1") as command:
        reach(site)
        command.signal(signal.SIGKILL)
        command.process.wait(10)
    site.undisturb()
    site.assert_whole()
    site.simulator.end_sessions()  # as vCenter does with idle ones
    jobs = site.convert("--workers", "1")
    assert {job["state"] for job in jobs.values()} == {"done"}
    assert digests(jobs) == site.tagged() == undisturbed


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("reach", "victim", "says"),
    [
        (in_download, WORKER, ("download", "worker-lost")),
        (in_push, WORKER, ("convert", "worker-lost")),
        (Site.undisturb, READER, ("convert", "reader")),
    ],
    ids=["worker in download", "worker in push", "reader"],
)
def test_a_killed_child_costs_an_attempt(
    site: Site,
    undisturbed: Mapping[str, str],
    reach: Callable[[Site], None],
    victim: str,
    says: tuple[str, str],
) -> None:
    with site.converting("--workers", "1") as command:
        reach(site)
        kill(site.process(victim))
        site.undisturb()
        assert command.wait() == ExitCode.OK, command.said
    jobs = site.report()
    assert errors(jobs["big"]) == [says]
    assert digests(jobs) == site.tagged() == undisturbed


def test_a_frozen_worker_is_killed_and_the_vm_tried_again(site: Site, undisturbed: Mapping[str, str]) -> None:
    with site.converting("--workers", "1", "--worker-silence", "6") as command:
        in_push(site)
        worker = site.process(WORKER)
        os.kill(worker, signal.SIGSTOP)
        site.undisturb()
        until(lambda: worker not in site.processes(), 30)
        assert command.wait() == ExitCode.OK, command.said
    assert errors(site.report()["big"]) == [("convert", "worker-lost")]
    assert digests(site.report()) == site.tagged() == undisturbed


def test_the_registry_is_away_for_ten_seconds(site: Site, undisturbed: Mapping[str, str]) -> None:
    with site.converting("--workers", "1") as command:
        in_push(site)
        site.registry.stop()
        time.sleep(10)
        site.registry.start()
        site.undisturb()
        assert command.wait() == ExitCode.OK, command.said
    assert digests(site.report()) == site.tagged() == undisturbed


def test_the_registry_loses_power_in_the_middle_of_a_blob(site: Site, undisturbed: Mapping[str, str]) -> None:
    with site.converting("--workers", "1") as command:
        in_push(site)
        site.registry.kill()
        site.registry.start()
        site.undisturb()
        assert command.wait() == ExitCode.OK, command.said
    assert digests(site.report()) == site.tagged() == undisturbed
