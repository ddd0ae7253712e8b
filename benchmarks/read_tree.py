"""``python -m benchmarks.read_tree DISK``: read a guest's whole tree as the product does, and throw it away.

A process of its own, so that its memory can be seen. It prints one JSON object.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from converters.disks import detect
from converters.filesystems.engines import Engine
from converters.image.rules import RULES
from converters.reader.parent import Reader
from converters.request import Reading


def main(disk: str) -> None:
    """Read it with every clean-up rule switched off, as ``tar`` knows none."""
    keep = tuple(rule.name for rule in RULES)
    reading = Reading(engines=tuple(str(engine) for engine in Engine), keep=keep)
    size = 0
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        start = time.perf_counter()
        with Reader([detect(disk)], reading, Path(scratch)) as reader:
            inspection = reader.inspect()
            for piece in reader.tar():
                size += len(piece)
            entries = reader.summary.entries
        seconds = time.perf_counter() - start
    engines = [mount.engine for mount in inspection.mounts]
    print(json.dumps({"seconds": seconds, "bytes": size, "entries": entries, "engine": engines[0]}))


if __name__ == "__main__":
    main(sys.argv[1])
