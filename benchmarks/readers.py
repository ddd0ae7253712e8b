"""Reading file systems: this product's readers beside a kernel mount with tar, and beside libguestfs.

``make bench NAME=readers``, as root; ``RUNS=5`` repeats each way five times instead of three. The ways
alternate on volumes that are in memory; libguestfs takes a minute for each and is run once (``LIBGUESTFS=0``:
not at all). "Dirty" volumes were copied while they were mounted and busy: both sides replay the journal.

Wanted: ext4 and XFS in at most 1.5 times the mount's time, dirty or not; btrfs in 3 times; at most 300 MiB,
on a disk of 1 TiB with a million files too; a download decoded at least as fast as by ``qemu-img convert``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks import decode, tree_ways, volumes
from benchmarks.output import show
from benchmarks.tree_ways import Read
from deploy.demo import guests


@dataclass(frozen=True, slots=True)
class Compared:
    """One volume, read in several ways."""

    name: str
    ours: list[Read] = field(default_factory=list)
    kernel: list[Read] = field(default_factory=list)
    libguestfs: list[Read] = field(default_factory=list)

    @property
    def ratio_mount(self) -> float:
        """How many times the kernel's seconds ours are."""
        return seconds(self.ours) / seconds(self.kernel)

    @property
    def ratio_libguestfs(self) -> float | None:
        """How many times our seconds libguestfs' are."""
        return seconds(self.libguestfs) / seconds(self.ours) if self.libguestfs else None


def main() -> int:
    """Measure and print."""
    if os.geteuid() != 0:
        print("A kernel mount, which is what readers are compared with, needs root.", file=sys.stderr)
        return 1
    runs = int(os.environ.get("RUNS", "3"))
    with_libguestfs = os.environ.get("LIBGUESTFS", "1") != "0"
    compared: list[Compared] = []
    for type in volumes.TYPES:
        compared.append(_compare(type, volumes.clean(type), type, runs, with_libguestfs))
        compared.append(_compare(f"{type} dirty", volumes.busy(type), type, runs, False, is_dirty=True))
    for type in volumes.TYPES:
        compared.append(_compare(f"{type} large", volumes.large(type), type, 1, False))
    vmdk = guests.bench().vmdk
    vmdk.read_bytes()
    decoded: list[tuple[float, float]] = [(decode.product(vmdk), decode.qemu_img(vmdk)) for _ in range(runs)]
    _show(compared, decoded)
    return 0


def _compare(
    name: str, image: Path, type: str, runs: int, with_libguestfs: bool, is_dirty: bool = False
) -> Compared:
    result = Compared(name)
    print(f"{name}: {image}", file=sys.stderr, flush=True)
    _into_memory(image)
    for _ in range(runs):
        result.ours.append(tree_ways.product(image))
        result.kernel.append(tree_ways.mount(image, type, is_dirty))
    if with_libguestfs:
        result.libguestfs.append(tree_ways.libguestfs(image))
    return result


def _into_memory(image: Path) -> None:
    """Have the kernel keep what a sparse file holds."""
    with image.open("rb", buffering=0) as file:
        end = file.seek(0, os.SEEK_END)
        position = 0
        while position < end:
            try:
                start = os.lseek(file.fileno(), position, os.SEEK_DATA)
            except OSError:  # only a hole is left
                return
            position = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            os.posix_fadvise(file.fileno(), start, position - start, os.POSIX_FADV_WILLNEED)


def seconds(reads: Iterable[Read]) -> float:
    """Their median."""
    return median(read.seconds for read in reads)


def _show(compared: list[Compared], decoded: list[tuple[float, float]]) -> None:
    rows = []
    figures: dict[str, float | None] = {}
    for one in compared:
        key = one.name.replace(" ", "_")
        figures[f"ratio_mount_{key}"] = one.ratio_mount
        if one.libguestfs:
            figures[f"ratio_libguestfs_{key}"] = one.ratio_libguestfs
        for label, reads in (
            ("product", one.ours),
            ("mount, tar", one.kernel),
            ("libguestfs", one.libguestfs),
        ):
            if reads:
                rows.append(_row(one, label, reads))
    ours, qemu = (median(side) for side in zip(*decoded, strict=True))
    for label, taken in (("product", ours), ("qemu-img convert", qemu)):
        rows.append(["streamOptimized", label, "", f"{taken:.2f}", "", f"{taken / qemu:.2f}", ""])
    figures["peak_rss_mib"] = max(read.peak_rss_mib for one in compared for read in one.ours)
    figures["ratio_qemu_img"] = ours / qemu
    count = len(compared[0].ours)
    show(
        f"Reading a tree as tar; medians of {count}, of large volumes one",
        ("volume", "way", "engine", "seconds", "MB/s", "times the kernel", "RSS MiB"),
        rows,
        figures,
    )


def _row(one: Compared, label: str, reads: list[Read]) -> list[str]:
    taken = seconds(reads)
    return [
        one.name,
        label,
        reads[-1].engine,
        f"{taken:.2f}",
        f"{reads[-1].bytes / taken / 1e6:.0f}",
        f"{taken / seconds(one.kernel):.2f}",
        f"{max(read.peak_rss_mib for read in reads):.0f}",
    ]


if __name__ == "__main__":
    sys.exit(main())
