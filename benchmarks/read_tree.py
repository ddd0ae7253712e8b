"""``python -m benchmarks.read_tree DISK…``: read a guest's whole tree as the product does, and throw it away.

A process of its own, so that its memory can be seen. It prints one JSON object.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from converters.disks import detect
from converters.filesystems.engines import Engine
from converters.image.rules import RULES
from converters.reader.parent import Reader
from converters.reading import Reading


def main(disks: Sequence[str]) -> None:
    """Read it with every clean-up rule switched off, as ``tar`` knows none."""
    keep = tuple(rule.name for rule in RULES)
    reading = Reading(engines=tuple(str(engine) for engine in Engine), keep=keep)
    size = 0
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        start = time.perf_counter()
        with Reader([detect(disk) for disk in disks], reading, Path(scratch)) as reader:
            inspection = reader.inspect()
            for piece in reader.tar():
                size += len(piece)
            entries = reader.summary.entries
        seconds = time.perf_counter() - start
    engines = [mount.engine for mount in inspection.mounts]
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    told = {"seconds": seconds, "bytes": size, "entries": entries, "engine": engines[0]}
    print(json.dumps({**told, "largest_rss_mib": largest}))


if __name__ == "__main__":
    main(sys.argv[1:])
