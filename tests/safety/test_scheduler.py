"""The command over a Dask scheduler that is not its own, whose workers outlive it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping

import pytest

from orchestrator.errors import ExitCode
from tests.orchestrator.dask_processes import remote_cluster
from tests.safety.harness import Site, digests, errors, in_download
from tests.waiting import until


@pytest.fixture
def scheduler(site: Site) -> Iterator[str]:
    """The address of a scheduler with two workers that convert."""
    with remote_cluster(site.folder, workers=2, TMPDIR=str(site.folder)) as (address, _):
        yield address


def test_a_killed_worker_costs_an_attempt_and_workers_outlive_runs(
    site: Site, scheduler: str, undisturbed: Mapping[str, str]
) -> None:
    flags = ("--scheduler", scheduler)
    with site.converting(*flags, "--max-vms", "1") as command:
        in_download(site)
        os.kill(site.holder("disk-0.raw"), signal.SIGKILL)
        site.undisturb()
        assert command.wait() == ExitCode.OK, command.said
    assert errors(site.report()["big"]) == [("download", "worker-lost")]
    assert digests(site.report()) == site.tagged() == undisturbed

    with site.converting(*flags, "--refresh") as command:
        in_download(site)
        command.signal(signal.SIGTERM)
        assert command.wait() == ExitCode.INTERRUPTED, command.said
    site.undisturb()

    with site.converting(*flags, "--refresh") as command:
        in_download(site)
        command.signal(signal.SIGKILL)
        command.process.wait(10)
    site.undisturb()
    site.simulator.end_sessions()  # as vCenter does with idle ones

    jobs = site.convert(*flags, "--refresh")
    assert {name: errors(job) for name, job in jobs.items()} == {"big": [], "little": [], "other": []}
    assert digests(jobs) == undisturbed
    until(lambda: not list((site.folder / "scratch").glob("*/*/*/*/disk-*")))
