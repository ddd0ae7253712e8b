"""Reads a disk in the reading process; watches what that costs, and which files of this machine it opens."""

from __future__ import annotations

import ctypes
import io
import os
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from converters.disks import detect
from converters.errors import ConvertError
from converters.filesystems.engines import Engine
from converters.guest.facts import Inspection
from converters.reader.parent import Reader
from converters.reading import Reading

IN_PROCESS = (Engine.EXT2FS, Engine.XFS, Engine.BTRFS)
"""Readers that are the product's own: the others are kernels in machines that are thrown away."""
_KEPT = 64 << 20
"""Bytes of tar that are looked into."""
_IN_OPEN = 0x20  # linux/inotify.h
_IN_ACCESS = 0x01


@dataclass(frozen=True)
class Outcome:
    """What became of a disk."""

    error: ConvertError | None
    seconds: float
    peak_mib: float
    """Largest resident size of the reading process."""
    archive: bytes = b""
    inspection: Inspection | None = None

    @property
    def members(self) -> dict[str, tarfile.TarInfo]:
        """What an image would hold, by path."""
        with tarfile.open(fileobj=io.BytesIO(self.archive)) as tar:
            return {member.name: member for member in tar}


READING = Reading(IN_PROCESS)


def read(disk: Path, scratch: Path, reading: Reading = READING) -> Outcome:
    """Read it to its end, or to its error. Nothing may stay in ``scratch``."""
    start = time.monotonic()
    peak = _Peak()
    archive = bytearray()
    inspection, error = None, None
    try:
        with Reader([detect(str(disk))], reading, scratch) as reader, peak.watched():
            inspection = reader.inspect()
            for piece in reader.tar():
                archive += piece[: max(0, _KEPT - len(archive))]
    except ConvertError as raised:
        error = raised
    assert not list(scratch.iterdir())
    return Outcome(error, time.monotonic() - start, peak.mib, bytes(archive), inspection)


@contextmanager
def untouched(*paths: Path) -> Iterator[None]:
    """Nobody may open or read ``paths`` meanwhile (inotify(7))."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    assert descriptor >= 0
    try:
        for path in paths:
            assert libc.inotify_add_watch(descriptor, os.fsencode(path), _IN_OPEN | _IN_ACCESS) >= 0
        yield
        try:
            events = os.read(descriptor, 1 << 16)
        except BlockingIOError:
            events = b""
        assert not events, f"one of {[str(path) for path in paths]} was opened"
    finally:
        os.close(descriptor)


class _Peak:
    """Peak memory of this process's reading child, looked at while it runs."""

    def __init__(self) -> None:
        self.mib = 0.0

    @contextmanager
    def watched(self) -> Iterator[None]:
        ended = threading.Event()
        thread = threading.Thread(target=self._watch, args=(ended,))
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _watch(self, ended: threading.Event) -> None:
        while True:
            for child in _children(os.getpid()):
                self.mib = max(self.mib, _high_water_mib(child))
            if ended.wait(0.02):
                return


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def _high_water_mib(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:  # it has ended
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)
