"""Three ways to a volume's tree as a stream of tar: this product, a kernel mount as root, and libguestfs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.memory import PeakMemory
from benchmarks.volumes import mounted

_TAR = ("tar", "--numeric-owner", "--xattrs", "--xattrs-include=*", "--one-file-system", "-c", ".")
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Read:
    """What reading a tree took."""

    seconds: float
    bytes: int
    """Of tar."""
    peak_rss_mib: float
    """Of all processes of the way that this machine's kernel shows."""
    engine: str
    entries: int = 0


def product(image: Path) -> Read:
    """The reading process, its start and the guest's inspection included."""
    command = [sys.executable, "-m", "benchmarks.read_tree", str(image)]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE) as process,
        PeakMemory(process.pid) as memory,
    ):
        said, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"reading {image} ended with exit status {process.returncode}")
    told = json.loads(said)
    return Read(told["seconds"], told["bytes"], memory.mib, told["engine"], told["entries"])


def mount(image: Path, type: str, is_dirty: bool) -> Read:
    """A loop mount by root and tar(1); a dirty one is mounted as a copy, which the kernel may write to."""
    if not is_dirty:
        return _mount(image, type, "ro")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        copy = Path(folder) / "copy"
        subprocess.run(["cp", "--sparse=always", image, copy], check=True)
        return _mount(copy, type, "rw,noatime")


def libguestfs(image: Path) -> Read:
    """An appliance with ``tar-out``; without KVM as with it."""
    settings = {"LIBGUESTFS_BACKEND": "direct", "LIBGUESTFS_BACKEND_SETTINGS": "force_tcg"}
    command = ["guestfish", "--ro", "-a", str(image), "run", ":", "mount-ro", "/dev/sda", "/", ":"]
    start = time.perf_counter()
    size, memory = _drain([*command, "tar-out", "/", "-", "xattrs:true"], {**os.environ, **settings})
    return Read(time.perf_counter() - start, size, memory, "libguestfs")


def _mount(image: Path, type: str, options: str) -> Read:
    start = time.perf_counter()
    with mounted(image, type, options) as root:
        size, memory = _drain(_TAR, os.environ, root)
    return Read(time.perf_counter() - start, size, memory, "kernel")


def _drain(
    command: Sequence[str], environment: Mapping[str, str], folder: Path | None = None
) -> tuple[int, float]:
    """Run a program to its end; how many bytes it wrote, and its peak memory in MiB."""
    size = 0
    buffer = bytearray(_PIECE)
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, cwd=folder) as process,
        PeakMemory(process.pid) as memory,
    ):
        if process.stdout is None:
            raise RuntimeError("no pipe from the program")
        while count := os.readv(process.stdout.fileno(), [buffer]):
            size += count
    if process.returncode:
        raise RuntimeError(f"`{' '.join(command)}` ended with exit status {process.returncode}")
    return size, memory.mib
