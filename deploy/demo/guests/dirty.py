"""A disk as a crash-consistent snapshot has it: its file system mounted, its journal not replayed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from converters import process
from deploy.demo.guests.layout import Built

HOSTNAME = "renamed-while-running"
"""What ``/etc/hostname`` holds after the journal is replayed."""
NEW_FILES = 500
"""How many files ``/srv/new`` holds after the journal is replayed."""


def build(into: Path, source: Path, root: Built) -> Path:
    """Copy ``source`` while its file system ``root`` is mounted and written to; gives the copy's path.

    Raises:
        ProcessError: not root, or no loop device.
    """
    if os.geteuid() != 0:
        raise process.ProcessError("mounting a disk image needs root")
    busy, copy = into / "busy.raw", into / "disk.raw"
    _copy(source, busy)
    with _mounted(busy, root) as tree:
        (tree / "etc/hostname").write_text(f"{HOSTNAME}\n")
        new = tree / "srv/new"
        new.mkdir()
        for number in range(NEW_FILES):
            (new / f"{number:03d}").write_text(f"{number}\n" * 100)
        # fsync commits the journal; sync would also write the metadata to its place.
        with (new / "last").open("w") as last:
            last.flush()
            os.fsync(last.fileno())
        _copy(busy, copy)
    busy.unlink()
    return copy


def _copy(source: Path, target: Path) -> None:
    process.run(["cp", "--sparse=always", str(source), str(target)], timeout=300.0)


@contextmanager
def _mounted(disk: Path, root: Built) -> Iterator[Path]:
    options = f"loop,offset={root.offset},sizelimit={root.size}"
    with tempfile.TemporaryDirectory(prefix="orchestrate-guest-") as folder:
        process.run(["mount", "-t", root.type, "-o", options, str(disk), folder])
        try:
            yield Path(folder)
        finally:
            process.run(["umount", folder])
