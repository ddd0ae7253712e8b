"""Disks of the orchestrator and its workers fill up, and a node is shut down, in the middle of a run."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from converters import process
from orchestrator.errors import ExitCode
from tests.safety.faults.crowd import ended
from tests.safety.harness import Site, digests, errors, in_download, in_push, slow

MIB = 1 << 20
GRACE = 30
"""Seconds that Kubernetes gives a pod to end in."""
REMOVAL = 2
"""Seconds."""
VMS = ("big", "vm-1")
FLAGS = ("--include", "big", "--include", "vm-1", "--workers", "1")


def wanted(undisturbed: Mapping[str, str]) -> Mapping[str, str]:
    """The digests that the two VMs' images must have."""
    return {vm: undisturbed[vm] for vm in VMS}


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """A file system of ``size`` bytes at ``folder``."""
    if os.geteuid():
        pytest.skip("only root may mount a file system of its own")
    folder.mkdir()
    process.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "orchestrate-tests", str(folder)])
    try:
        yield folder
    finally:
        process.run(["umount", "--lazy", str(folder)])


def test_a_scratch_disk_that_is_too_small_fails_the_vm_that_needs_more(
    site: Site, undisturbed: Mapping[str, str]
) -> None:
    with small_disk(site.folder / "scratch", 5 * MIB):
        jobs = site.convert("--attempts", "2", *FLAGS, status=ExitCode.SOME_FAILED)
        assert (jobs["big"]["state"], errors(jobs["big"])) == ("failed", [("download", "scratch-full")] * 2)
        assert (jobs["vm-1"]["state"], errors(jobs["vm-1"])) == ("done", [])
        assert site.ours() == []
    assert digests(site.convert(*FLAGS)) == site.tagged() == wanted(undisturbed)


@pytest.mark.parametrize("reach", [in_download, in_push], ids=["download", "push"])
def test_thirty_seconds_are_enough_to_leave_nothing_behind(
    site: Site, undisturbed: Mapping[str, str], reach: Callable[[Site], None]
) -> None:
    """SIGTERM, as a pod gets it, while a removal takes vCenter some time."""
    site.simulator.inject(slow("RemoveSnapshot_Task", REMOVAL))
    with site.converting("--grace-seconds", str(GRACE), *FLAGS) as command:
        reach(site)
        begun = time.monotonic()
        command.signal(signal.SIGTERM)
        ended(command, ExitCode.INTERRUPTED)
        assert time.monotonic() - begun < GRACE
    site.undisturb()
    site.assert_settled()
    assert digests(site.convert(*FLAGS)) == site.tagged() == wanted(undisturbed)
