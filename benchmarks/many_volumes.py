"""Memory of reading a guest with many volumes, each copied while it was mounted and written to.

``make bench NAME=many_volumes``, as root; ``VOLUMES=12`` and ``FILES=95000`` a volume are the default.
Wanted: at most 300 MiB in the largest process, and not more with twelve volumes than with one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import volumes
from benchmarks.memory import PeakMemory
from benchmarks.output import show


def main() -> int:
    """Measure and print."""
    if os.geteuid() != 0:
        print("Filling a file system by the kernel needs root.", file=sys.stderr)
        return 1
    count, files = int(os.environ.get("VOLUMES", "12")), int(os.environ.get("FILES", "95000"))
    rows = []
    figures: dict[str, float | None] = {}
    for type in volumes.TYPES:
        for number in (1, count):
            with tempfile.TemporaryDirectory(prefix="bench-") as folder:
                root = volumes.mounting(Path(folder) / "root.raw", type, number)
                told, together = _read([root, *[volumes.crowded(type, files)] * number])
            rows.append(
                [
                    type,
                    str(number),
                    f"{told['entries']:,}",
                    f"{told['seconds']:.1f}",
                    f"{told['largest_rss_mib']:.0f}",
                    f"{together:.0f}",
                ]
            )
            figures[f"peak_rss_mib_{type}_{number}"] = told["largest_rss_mib"]
    show(
        f"Reading dirty volumes of {files:,} files each",
        ("volumes", "number", "entries", "seconds", "largest process MiB", "all processes MiB"),
        rows,
        figures,
    )
    return 0


def _read(disks: Sequence[Path]) -> tuple[dict[str, float], float]:
    """What ``read_tree`` tells, and the peak of all its processes together in MiB."""
    command = [sys.executable, "-m", "benchmarks.read_tree", *map(str, disks)]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE) as process,
        PeakMemory(process.pid) as memory,
    ):
        said, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"reading ended with exit status {process.returncode}")
    told: dict[str, float] = json.loads(said)
    return told, memory.mib


if __name__ == "__main__":
    sys.exit(main())
