"""One disk of some 700 MB to a registry: this product, libguestfs, a loop mount, and the machine's floor.

``make bench NAME=one_disk``; ``RUNS=5`` repeats each way five times instead of three. The ways alternate,
each into an empty registry on this machine; libguestfs takes minutes and is run once. Wanted: 20 times as
fast as libguestfs, 10 times as the mount, at most 1.6 times the slowest single stage alone, 300 MiB.

The registry shares the processors with this product here. So the table also has the processor time of both
over the number of processors: nothing that does this work is faster on this machine.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from benchmarks import floor, ways
from benchmarks.output import show
from benchmarks.ways import Took
from deploy.demo import dockerd, guests


def main() -> None:
    """Measure and print."""
    runs = int(os.environ.get("RUNS", "3"))
    guest = guests.bench()
    guest.raw.read_bytes()  # from memory in every way: the disk's speed is not what is compared
    with ExitStack() as stack:
        engine = _engine(stack)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=ways.MEMORY)))
        archive = folder / "tree.tar"
        floor.write_tree(guest, archive)
        stages = floor.stages(guest, archive)
        alone: dict[str, list[float]] = {name: [] for name in stages}
        ours: list[Took] = []
        mounts: list[Took] = []
        for _ in range(runs):
            ours.append(ways.product(guest))
            if engine is not None:
                mounts.append(ways.mount(guest, engine))
            for name, stage in stages.items():
                alone[name].append(floor.seconds(stage))
        slow = [ways.libguestfs(guest, engine)] if engine is not None else []
        size = archive.stat().st_size
    _show(size, ours, mounts, slow, alone)


def _engine(stack: ExitStack) -> dockerd.Engine | None:
    try:
        return stack.enter_context(dockerd.running())
    except dockerd.EngineUnavailableError as error:
        print(f"Without Docker there is nothing to compare with: {error}")
        return None


def _show(
    size: int, ours: list[Took], mounts: list[Took], slow: list[Took], alone: dict[str, list[float]]
) -> None:
    product = median(took.seconds for took in ours)
    stages = {name: median(times) for name, times in alone.items()}
    slowest = max(stages.values())
    rows = []
    ratios: dict[str, float | None] = {}
    for name, label, tooks in (
        ("", "this product: orchestrate convert", ours),
        ("ratio_mount", "loop mount | docker import, push", mounts),
        ("ratio_libguestfs", "virt-tar-out | docker import, push", slow),
    ):
        seconds = median(took.seconds for took in tooks) if tooks else None
        if name:
            ratios[name] = None if seconds is None else seconds / product
        if seconds is not None:
            pushed = f"{tooks[-1].pushed_bytes / 1e6:.0f}"
            rows.append([label, f"{seconds:.2f}", f"{seconds / product:.1f}", pushed])
    rows += [
        [f"alone: {name}", f"{seconds:.2f}", f"{seconds / product:.2f}", ""]
        for name, seconds in stages.items()
    ]
    processors = len(os.sched_getaffinity(0))
    ours_busy = median(took.processor_seconds for took in ours)
    registry_busy = median(took.registry_processor_seconds for took in ours)
    bound = (ours_busy + registry_busy) / processors
    rows.append(
        [f"processor time over {processors} processors", f"{bound:.2f}", f"{bound / product:.2f}", ""]
    )
    show(
        f"One disk to a registry, {size / 1e6:.0f} MB of tar; medians of {len(ours)}",
        ("", "seconds", "times this product", "MB pushed"),
        rows,
        {
            **ratios,
            "ratio_floor": product / slowest,
            "worker_peak_rss_mib": max(took.peak_rss_mib for took in ours),
            "product_seconds": product,
            "ratio_processor_bound": product / bound,
            "product_processor_seconds": ours_busy,
            "registry_processor_seconds": registry_busy,
            "floor_seconds": slowest,
        },
    )


if __name__ == "__main__":
    main()
