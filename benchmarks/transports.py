"""One VM of a simulated vCenter to a registry, by an export lease and read in place: seconds and bytes.

``make bench NAME=transports``; ``RUNS=5`` repeats each way five times instead of three. The ways alternate.
The guest's disk is enlarged to ten times what it holds, as disks usually are. Network and hosts are this
machine: what a real one adds to each byte is not in the seconds.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.output import show
from converters import process
from deploy.demo import guests
from deploy.demo.fleet import Datacenter, Disk, Fleet, Machine
from deploy.demo.registry import registry
from deploy.demo.simulator import Simulator, running

WAYS = ("nfc", "datastore")
CAPACITY = 6 << 30
"""Bytes of the disk."""
_SECONDS = 600.0


def main() -> None:
    """Measure and print."""
    runs = int(os.environ.get("RUNS", "3"))
    took: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        raw, vmdk = _disk(guests.web().raw, folder)
        machine = Machine("web", disks=(Disk(str(vmdk), str(raw)),))
        vcenter = stack.enter_context(running(Fleet((Datacenter("DC0", vms=(machine,)),))))
        for number in range(runs):
            for way in WAYS:
                with _place(folder / f"{way}-{number}") as (place, environment):
                    took[way].append(_run(vcenter, way, place, environment))
    _show(took)


def _disk(guest: Path, folder: Path) -> tuple[Path, Path]:
    """The guest's disk with room behind its partitions: raw, and as a lease gives it."""
    raw, vmdk = folder / "disk.raw", folder / "disk.vmdk"
    process.run(["cp", "--sparse=always", str(guest), str(raw)])
    os.truncate(raw, CAPACITY)
    command = ["qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized"]
    process.run([*command, str(raw), str(vmdk)], timeout=_SECONDS)
    return raw, vmdk


@contextmanager
def _place(folder: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """A folder and an empty registry for one run."""
    folder.mkdir()
    with registry() as images:
        yield (
            folder,
            {
                "ORCHESTRATE_REGISTRY": f"{images.address}/bench",
                "ORCHESTRATE_LEDGER": str(folder / "ledger.sqlite"),
                "ORCHESTRATE_OUTPUT": str(folder),
                "ORCHESTRATE_SCRATCH": str(folder / "scratch"),
                "ORCHESTRATE_WORKERS": "1",
            },
        )


def _run(vcenter: Simulator, way: str, folder: Path, environment: dict[str, str]) -> dict[str, Any]:
    """What became of the VM."""
    command = [sys.executable, "-m", "orchestrator", "--datacenter", "DC0", "--transport", way]
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    process.run(command, env={**inherited, **vcenter.environment(), **environment}, timeout=_SECONDS)
    report = json.loads((folder / "report.json").read_text())
    (job,) = report["run"]["jobs"]
    found: dict[str, Any] = job
    return found


def _seconds(job: dict[str, Any]) -> float:
    """From admission to the image."""
    ends = [float(stage["ended"]) for stage in job["stages"] if stage["stage"] == "publish"]
    return max(ends) - float(job["started"])


def _show(took: dict[str, list[dict[str, Any]]]) -> None:
    rows = []
    seconds = {way: median(map(_seconds, jobs)) for way, jobs in took.items()}
    moved = {way: jobs[-1]["received_total"] for way, jobs in took.items()}
    for way in WAYS:
        held = [job["stages"] for job in took[way]]
        open_for = median(
            next(one["ended"] for one in stages if one["stage"] == "release")
            - next(one["started"] for one in stages if one["stage"] == "snapshot")
            for stages in held
        )
        rows.append([way, f"{seconds[way]:.2f}", f"{open_for:.2f}", f"{moved[way] / (1 << 20):,.0f}"])
    digests = {job["image"]["digest"] for jobs in took.values() for job in jobs}
    show(
        f"A disk of {CAPACITY >> 30} GiB, {len(digests)} digest(s) of images",
        ("way", "seconds to the image", "seconds with a snapshot", "MiB moved"),
        rows,
        {"ratio_seconds": seconds["datastore"] / seconds["nfc"], "same_digests": len(digests) == 1},
    )


if __name__ == "__main__":
    main()
