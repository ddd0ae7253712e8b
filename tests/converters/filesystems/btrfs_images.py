"""btrfs images made by mkfs.btrfs(8)."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from converters.disks import RawFile, open_disk
from converters.filesystems.btrfs import BtrfsFilesystem, Part, Storage

SIZE = 160 << 20
"""Bytes of each device: mkfs.btrfs makes none below 109 MiB with copies of metadata."""


def make(image: Path, *options: str, size: int = SIZE, further: Sequence[Path] = ()) -> Path:
    """An empty btrfs in ``image``, and in ``further`` images when it has several devices."""
    for path in (image, *further):
        with open(path, "wb") as file:
            file.truncate(size)
    command: list[str | Path] = ["mkfs.btrfs", "-q", "-f", *options, image, *further]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return image


@contextmanager
def stored(image: Path, *further: Path) -> Iterator[Storage]:
    """The whole file system in ``image`` and ``further``, the disks closed afterwards."""
    with ExitStack() as stack:
        disks = [open_disk(RawFile(str(path))) for path in (image, *further)]
        for disk in disks:
            stack.callback(disk.close)
        first, *others = [Part(disk, 0, disk.size) for disk in disks]
        yield stack.enter_context(Storage(first, others))


@contextmanager
def opened(image: Path, *further: Path, options: str = "") -> Iterator[BtrfsFilesystem]:
    """What a mount of the file system in ``image`` and ``further`` shows."""
    with stored(image, *further) as storage, BtrfsFilesystem(storage, options) as filesystem:
        yield filesystem


@contextmanager
def mounted_pool(images: Sequence[Path], options: str = "ro") -> Iterator[Path]:
    """Mount a btrfs on several devices through loop devices and give the mount point; needs root."""
    with ExitStack() as stack:
        devices = [stack.enter_context(loop(image)) for image in images]
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="orchestrate-mount-"))
        words = [options, *(f"device={device}" for device in devices)]
        subprocess.run(["mount", "-t", "btrfs", "-o", ",".join(words), devices[0], folder], check=True)
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", folder], check=True)
            # The kernel remembers devices of several, by numbers that loop devices have again soon.
            subprocess.run(["btrfs", "device", "scan", "--forget", *devices], check=True)


@contextmanager
def loop(image: Path) -> Iterator[str]:
    """A loop device over ``image``."""
    found = subprocess.run(["losetup", "--find", "--show", image], check=True, capture_output=True, text=True)
    device = found.stdout.strip()
    try:
        yield device
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


def subvolume(verb: str, *paths: Path) -> None:
    """``btrfs subvolume VERB``."""
    subprocess.run(["btrfs", "subvolume", verb, *paths], check=True, stdout=subprocess.DEVNULL)
