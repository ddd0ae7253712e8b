"""Volumes to read: one tree in each file system, clean and dirty; and one of 1 TiB with a million files."""

from __future__ import annotations

import os
import string
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from deploy.demo import cache, guests
from deploy.demo.guests import dirty
from deploy.demo.guests.layout import Built

TYPES = ("ext4", "xfs", "btrfs")
MILLION = 1_000_000
_SIZE = 2 << 30
_LARGE_SIZE = 1 << 40
_FOLDER_FILES = 1000
_FILLED_EVERY = 10
"""One file in so many holds something."""
_HERE = Path(__file__)
_MKFS = {
    "ext4": ("mkfs.ext4", "-q", "-F"),
    "xfs": ("mkfs.xfs", "-q", "-f", "-l", "size=64m"),
    "btrfs": ("mkfs.btrfs", "-q", "-f"),
}


def clean(type: str) -> Path:
    """The benchmark guest's tree in a file system of ``type``; needs root."""
    return _cached(type, "clean", lambda disk: _fill(disk, type))


def busy(type: str) -> Path:
    """The same, copied while it was mounted and written to; needs root."""
    source = clean(type)

    def make(disk: Path) -> None:
        dirty.build(disk.parent, source, Built("/", type, 0, _SIZE))

    return _cached(type, "busy", make)


def crowded(type: str, files: int) -> Path:
    """``files`` small files and nothing else, copied while they were mounted and written to; needs root."""
    return _cached(type, f"crowded-{files}", lambda disk: _fill_busy(disk, type, files))


def mounting(disk: Path, type: str, count: int) -> Path:
    """A root that mounts further disks of ``type``, made at ``disk``; needs root."""
    _make(disk, "ext4", 64 << 20)
    with mounted(disk, "ext4", "rw") as root:
        lines = [f"/dev/sd{string.ascii_lowercase[1 + i]} /srv/{i} {type} defaults\n" for i in range(count)]
        _write_root(root, "".join(lines))
        for index in range(count):
            (root / f"srv/{index}").mkdir(parents=True)
    return disk


def large(type: str) -> Path:
    """1 TiB, nearly all of it holes, with a million files; needs root."""
    return _cached(type, "large", lambda disk: _fill_large(disk, type))


@contextmanager
def mounted(image: Path, type: str, options: str) -> Iterator[Path]:
    """Loop-mounted; needs root."""
    with TemporaryDirectory(prefix="bench-mount-") as folder:
        subprocess.run(["mount", "-t", type, "-o", f"loop,{options}", image, folder], check=True)
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", folder], check=True)


def _cached(type: str, kind: str, make: Callable[[Path], None]) -> Path:
    key = cache.digest(_HERE, str(guests.bench().raw), type)
    return cache.cached(f"bench-{type}-{kind}", key, lambda folder: make(folder / "disk.raw")) / "disk.raw"


def _make(disk: Path, type: str, size: int) -> None:
    with disk.open("xb") as file:
        file.truncate(size)
    subprocess.run([*_MKFS[type], disk], check=True, stdout=subprocess.DEVNULL)


def _fill(disk: Path, type: str) -> None:
    _make(disk, type, _SIZE)
    guest = guests.bench()
    (root,) = (part for part in guest.partitions if part.mount == "/")
    place = f"ro,noload,offset={root.offset},sizelimit={root.size}"
    with mounted(guest.raw, root.type, place) as source, mounted(disk, type, "rw") as target:
        subprocess.run(["cp", "-a", f"{source}/.", target], check=True)
        (target / "etc/fstab").write_text("# the disk is the root\n")


def _fill_large(disk: Path, type: str) -> None:
    _make(disk, type, _LARGE_SIZE)
    with mounted(disk, type, "rw") as root:
        _write_root(root, "#\n")
        _write_files(root / "srv", MILLION)


def _fill_busy(disk: Path, type: str, files: int) -> None:
    busy = disk.with_name("busy")
    _make(busy, type, _SIZE)
    with mounted(busy, type, "rw") as root:
        _write_files(root, files)
        os.sync()
        with (root / "last").open("w") as last:  # its fsync is what the journal holds
            last.write("synchronised\n")
            last.flush()
            os.fsync(last.fileno())
        subprocess.run(["cp", "--sparse=always", busy, disk], check=True)
    busy.unlink()


def _write_root(root: Path, fstab: str) -> None:
    for name, text in (("etc/os-release", "ID=large\n"), ("etc/fstab", fstab), ("usr/bin/true", "#!\n")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def _write_files(top: Path, count: int) -> None:
    """``count`` files in folders of a thousand."""
    for folder in range(count // _FOLDER_FILES):
        path = top / f"{folder:04d}"
        path.mkdir(parents=True)
        at = os.open(path, os.O_RDONLY)
        for number in range(_FOLDER_FILES):
            file = os.open(f"file-{number:04d}", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=at)
            if number % _FILLED_EVERY == 0:
                os.write(file, b"content\n")
            os.close(file)
        os.close(at)
