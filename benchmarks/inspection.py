"""Inspection of a guest of some 20,000 files: all that the reading process tells before a conversion.

``make bench NAME=inspection``; ``RUNS=9`` repeats it nine times instead of five. ``seconds`` is what the
product waits: from the start of the reading process to its description of the guest, checked. Beside it
stands in processor seconds, which other work on the machine changes little, what its start (imports), the
opening of the volumes (with the walk that shows whether a reader can read all of it) and the inspection
itself take; and who takes how much of the last.

Wanted: at most 1 s in all, and only those files read that tell something.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.output import show
from converters.disks import detect
from converters.filesystems.engines import Engine
from converters.reader.parent import Reader
from converters.reading import Reading
from deploy.demo import guests

_SMALLEST_SHARE = 0.02
"""Of the inspection, to be named."""


def main() -> None:
    """Measure and print."""
    runs = int(os.environ.get("RUNS", "5"))
    disk = guests.bench().raw
    disk.read_bytes()  # from memory each time: the disk's speed is not what is measured
    seconds, processor, parts = [], [], []
    for _ in range(runs):
        taken, busy = product(disk)
        seconds.append(taken)
        processor.append(busy)
        parts.append(split(disk))
    _show(median(seconds), median(processor), parts)


def product(disk: Path) -> tuple[float, float]:
    """Seconds until the reading process has said what the guest is, and its processor seconds."""
    reading = Reading(engines=tuple(str(engine) for engine in Engine))
    before, start = _children(), time.perf_counter()
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as scratch,
        Reader([detect(str(disk))], reading, Path(scratch)) as reader,
    ):
        reader.inspect()
        seconds = time.perf_counter() - start
    return seconds, _children() - before


def split(disk: Path) -> dict[str, Any]:
    """What each step takes, from a process that does the same without a parent."""
    command = [sys.executable, "-m", "benchmarks.inspect_guest", str(disk)]
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    figures: dict[str, Any] = json.loads(told)
    return figures


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _show(seconds: float, processor: float, runs: list[dict[str, Any]]) -> None:
    start, opening, inspection = (
        median(run[step] for run in runs) for step in ("start", "opening", "inspection")
    )
    last = runs[-1]
    rows = [
        ["in all, by the clock", f"{seconds:.3f}", ""],
        ["in all, of a processor", f"{processor:.3f}", ""],
        ["  start of the process", f"{start:.3f}", ""],
        ["  opening of the volumes", f"{opening:.3f}", f"{last['bytes_opening'] / 1e6:.1f}"],
        ["  inspection", f"{inspection:.3f}", f"{last['bytes_inspection'] / 1e6:.1f}"],
    ]
    rows += [
        [f"    {name}", f"{share * inspection:.3f}", ""]
        for name, share in last["parts"].items()
        if share >= _SMALLEST_SHARE
    ]
    show(
        f"Inspecting a guest with {last['services']} services; medians of {len(runs)}",
        ("", "seconds", "MB read"),
        rows,
        {
            "seconds": seconds,
            "processor_seconds": processor,
            "start_processor_seconds": start,
            "opening_processor_seconds": opening,
            "inspection_processor_seconds": inspection,
            "bytes_read": last["bytes_opening"] + last["bytes_inspection"],
            "bytes_read_opening": last["bytes_opening"],
            "bytes_read_inspection": last["bytes_inspection"],
            "files_read": last["files"],
            "lookups": last["lookups"],
            "entries_walked": last["walked"],
        },
    )


if __name__ == "__main__":
    main()
