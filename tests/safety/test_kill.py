"""The command, its workers and their children are killed, and the registry goes away in the middle."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping

import pytest

from deploy.demo.simulator import Download
from orchestrator.errors import ExitCode
from tests.safety.harness import Site, digests, errors, slow

SLOW_DOWNLOAD = Download(vm="big", rate=1 << 20, count=1)
SLOW_PUSH = 1 << 20
"""Bytes a second."""
WORKER, READER = "multiprocessing-fork", "converters.reader.child"
"""What stands in the arguments of a local worker, and of the process that reads a disk for it."""


def in_download(site: Site) -> None:
    site.simulator.disturb_downloads(SLOW_DOWNLOAD)


def in_push(site: Site) -> None:
    site.link.rate = SLOW_PUSH


def in_snapshot(site: Site) -> None:
    site.simulator.inject(slow("CreateSnapshot_Task", 3.0, count=1))


def in_release(site: Site) -> None:
    site.simulator.inject(slow("RemoveSnapshot_Task", 3.0, count=1))


@pytest.mark.parametrize(
    ("arrange", "reached"),
    [
        (in_snapshot, lambda site: site.until_called("CreateSnapshot_Task")),
        (in_download, lambda site: site.until_downloading("big")),
        (in_push, lambda site: site.until_pushing("big")),
        (in_release, lambda site: site.until_called("RemoveSnapshot_Task")),
    ],
    ids=["snapshot", "download", "push", "release"],
)
def test_the_command_is_killed_and_one_rerun_does_the_rest(
    site: Site,
    undisturbed: Mapping[str, str],
    arrange: Callable[[Site], None],
    reached: Callable[[Site], None],
) -> None:
    arrange(site)
    with site.converting("--workers", "1") as command:
        reached(site)
        command.signal(signal.SIGKILL)
        command.process.wait(10)
    site.link.rate = 0
    site.assert_whole()
    site.simulator.end_sessions()  # as vCenter does with idle ones
    jobs = site.convert("--workers", "1")
    assert {job["state"] for job in jobs.values()} == {"done"}
    assert digests(jobs) == site.tagged() == undisturbed


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("arrange", "reached", "victim", "says"),
    [
        (in_download, lambda site: site.until_downloading("big"), WORKER, ("download", "worker-lost")),
        (in_push, lambda site: site.until_pushing("big"), WORKER, ("convert", "worker-lost")),
        (lambda site: None, lambda site: None, READER, ("convert", "reader")),
    ],
    ids=["worker in download", "worker in push", "reader"],
)
def test_a_killed_child_costs_an_attempt(
    site: Site,
    undisturbed: Mapping[str, str],
    arrange: Callable[[Site], None],
    reached: Callable[[Site], None],
    victim: str,
    says: tuple[str, str],
) -> None:
    arrange(site)
    with site.converting("--workers", "1", "--include", "big") as command:
        reached(site)
        kill(site.process(victim))
        site.link.rate = 0
        assert command.wait() == ExitCode.OK, command.said
    big = site.report()["big"]
    assert errors(big) == [says]
    assert digests(site.convert("--workers", "1")) == site.tagged() == undisturbed


def test_the_registry_is_away_for_ten_seconds(site: Site, undisturbed: Mapping[str, str]) -> None:
    site.link.rate = SLOW_PUSH
    with site.converting("--workers", "1") as command:
        site.until_pushing("big")
        site.registry.stop()
        time.sleep(10)
        site.registry.start()
        site.link.rate = 0
        assert command.wait() == ExitCode.OK, command.said
    assert digests(site.report()) == site.tagged() == undisturbed


def test_the_registry_loses_power_in_the_middle_of_a_blob(site: Site, undisturbed: Mapping[str, str]) -> None:
    site.link.rate = SLOW_PUSH
    with site.converting("--workers", "1") as command:
        site.until_pushing("big", 1 << 20)
        site.registry.kill()
        site.registry.start()
        site.link.rate = 0
        assert command.wait() == ExitCode.OK, command.said
    assert digests(site.report()) == site.tagged() == undisturbed
