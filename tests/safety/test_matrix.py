"""The command, its worker or the Dask scheduler is killed in each stage of a VM: nothing is left or lost.

Each row is one stage, reached for certain: a call that vCenter takes its time over, a download or push that
is slow, a request that is held up on its way to the registry.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass

import pytest

from converters import process
from deploy.demo.registry import free_port
from deploy.demo.simulator import Rule
from orchestrator.errors import ExitCode
from tests.orchestrator.dask_processes import remote_cluster
from tests.safety.harness import (
    WORKER,
    Site,
    digests,
    errors,
    in_download,
    in_push,
    in_release,
    in_snapshot,
)


@dataclass(frozen=True, slots=True)
class Row:
    """A stage of the large VM, in which something is killed."""

    stage: str
    reach: Callable[[Site], None]
    """Start it, or slow it down, and wait until it goes on."""
    costs: str | None
    """The stage that a killed worker makes fail; None: the VM needs the worker no more."""


def in_export(site: Site) -> None:
    """Wait until a lease is being opened, and takes its time."""
    site.simulator.inject(Rule("ExportSnapshot", delay_ms=2000, count=1))
    site.until_called("ExportSnapshot")


def in_convert(site: Site) -> None:
    """Wait until the disk is open, and the registry yet to be asked for its first upload."""
    site.until_stopped("POST", "blobs/uploads")


def in_manifest(site: Site) -> None:
    """Wait until the manifest is on its way."""
    site.until_stopped("PUT", "manifests")


def after_manifest(site: Site) -> None:
    """Wait until the registry has the manifest, and has not been able to say so."""
    site.until_stopped("PUT", "manifests", at_answer=True)


def in_release_and_push(site: Site) -> None:
    """Wait until the snapshot is being removed, while the layer is on its way."""
    site.link.rate = 1 << 20
    in_release(site)
    site.until_pushing("big")


MATRIX = (
    Row("release", in_release_and_push, "convert"),
    Row("snapshot being created", in_snapshot, "snapshot"),
    Row("lease opening", in_export, "export"),
    Row("download", in_download, "download"),
    Row("convert", in_convert, "convert"),
    Row("push", in_push, "convert"),
    Row("manifest", in_manifest, None),
    Row("manifest not confirmed", after_manifest, None),
)
"""The release first: a run that comes after a kill has a snapshot of another one to remove before its own."""
in_each_stage = pytest.mark.parametrize("row", MATRIX, ids=lambda row: row.stage)


def test_the_command_is_killed_in_each_stage_and_one_more_run_does_the_rest(
    site: Site, undisturbed: Mapping[str, str]
) -> None:
    """With workers of its own, the Dask scheduler is in its process. Each run begins with what one left."""
    for row in MATRIX:
        site.simulator.forget_calls()
        with site.converting("--workers", "1") as command:
            row.reach(site)
            command.signal(signal.SIGKILL)
            assert command.process.wait(10) == -signal.SIGKILL, row.stage
        site.undisturb()
        site.assert_whole()
        assert len(site.ours()) <= 1, row.stage
        site.simulator.end_sessions()  # as vCenter does with idle ones
    jobs = site.convert("--workers", "1")
    assert {job["state"] for job in jobs.values()} == {"done"}
    assert digests(jobs) == site.tagged() == undisturbed


@in_each_stage
def test_the_scheduler_is_killed_and_the_run_goes_on_with_another(
    site: Site, undisturbed: Mapping[str, str], row: Row
) -> None:
    """Its workers end with it; those of the next one find nothing of theirs."""
    port = free_port()
    with ExitStack() as stack:
        address, scheduler = stack.enter_context(dask(site, port))
        with site.converting("--scheduler", address) as command:
            row.reach(site)
            os.kill(scheduler.pid, signal.SIGKILL)
            site.undisturb()
            stack.enter_context(dask(site, port))
            assert command.wait() == ExitCode.OK, command.said
            assert "scheduler is gone" in command.said and "distributed" not in command.said
    jobs = site.report()
    assert errors(jobs["big"]) == ([(row.costs, "worker-lost")] if row.costs else [])
    assert digests(jobs) == site.tagged() == undisturbed


def dask(site: Site, port: int) -> AbstractContextManager[tuple[str, process.Running]]:
    """A scheduler with a worker that converts."""
    return remote_cluster(site.folder, port=port, TMPDIR=str(site.folder))


@in_each_stage
def test_a_worker_is_killed_and_the_run_does_all_the_same(
    site: Site, undisturbed: Mapping[str, str], row: Row
) -> None:
    with site.converting("--workers", "1") as command:
        row.reach(site)
        os.kill(site.process(WORKER), signal.SIGKILL)
        site.undisturb()
        assert command.wait() == ExitCode.OK, command.said
    jobs = site.report()
    assert errors(jobs["big"]) == ([(row.costs, "worker-lost")] if row.costs else [])
    assert digests(jobs) == site.tagged() == undisturbed
