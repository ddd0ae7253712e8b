"""Disk images copied from beneath a mounted, busy file system: their journals have to be replayed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from tests.kernel import mounted

FILES = 120
OLD, NEW = b"old\n", b"new\n"


def busy_image(
    path: Path, fstype: str, *, offset: int = 0, size: int | None = None, frozen: bool = False
) -> Path:
    """A copy of ``path``, taken while the fresh file system at ``offset`` is written to; needs root.

    As it lies, ``etc/config`` is old and ``srv`` is missing; after replay ``srv`` holds files, and on ext
    ``etc/config`` is new (XFS may give it back empty: it had not logged the size yet).
    ``frozen`` copies it as a quiesced snapshot does (fsfreeze(8)): all in place, and the log of XFS dirty.
    """
    make_filesystem(path, fstype, offset=offset, size=size)
    with mounted(path, fstype, offset=offset, size=size, options="rw") as root:
        (root / "etc").mkdir()
        _write(root / "etc/config", OLD)
    busy = path.with_suffix(".busy")
    # Linux 6.18 lets fsync return before an extent is marked as written, so a copy may hold zeros instead of
    # data, as after a crash. With dioread_lock extents are born written.
    options = "rw,dioread_lock" if fstype == "ext4" else "rw"
    with mounted(path, fstype, offset=offset, size=size, options=options) as root:
        (root / "srv").mkdir()
        for number in range(FILES):
            # fsync(2) commits to the journal; sync(2) would write everything to its place as well.
            _write(root / f"srv/{number}", b"%d\n" % number)
        _write(root / "etc/config.new", NEW)
        (root / "etc/config.new").rename(root / "etc/config")
        _write(root / "srv/last", b"")
        with _frozen(root) if frozen else nullcontext():
            subprocess.run(["cp", "--sparse=always", path, busy], check=True)
    return busy


@contextmanager
def _frozen(root: Path) -> Iterator[None]:
    subprocess.run(["fsfreeze", "-f", root], check=True)
    try:
        yield
    finally:
        subprocess.run(["fsfreeze", "-u", root], check=True)


def make_filesystem(path: Path, fstype: str, *, offset: int = 0, size: int | None = None) -> None:
    """An empty file system in ``size`` bytes of the image ``path`` from ``offset``."""
    size = path.stat().st_size - offset if size is None else size
    part = path.with_suffix(".part")
    with open(part, "xb") as file:
        file.truncate(size)
    options = {"vfat": [], "xfs": ["-q", "-f"], "btrfs": ["-q", "-f"]}.get(fstype, ["-q", "-F"])
    subprocess.run([f"mkfs.{fstype}", *options, part], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(
        [
            "dd",
            f"if={part}",
            f"of={path}",
            f"seek={offset}",
            "oflag=seek_bytes",
            "bs=1M",
            "conv=notrunc,sparse",
        ],
        check=True,
        capture_output=True,
    )
    part.unlink()


def _write(path: Path, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)
        os.fsync(file.fileno())
