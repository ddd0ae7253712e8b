"""``python -m benchmarks.inspect_guest DISK``: inspect a guest in this process, and say what each step took.

A process of its own, so that its start can be seen. It prints one JSON object.
"""

from __future__ import annotations

import cProfile
import importlib
import json
import pstats
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from converters.disks import detect
from converters.filesystems.base import Entry, Filesystem
from converters.filesystems.engines import Engine
from converters.filesystems.mounts import open_guest
from converters.guest.inspect import inspect
from converters.reading import Reading


class Counting:
    """A file system that counts what is asked of it."""

    def __init__(self, filesystem: Filesystem) -> None:
        self._filesystem = filesystem
        self.opened: set[bytes] = set()
        self.lookups = 0
        self.walked = 0

    @property
    def type(self) -> str:
        """As the file system says."""
        return self._filesystem.type

    def walk(self, top: bytes = b"") -> Iterator[Entry]:
        """See ``Filesystem.walk``; each entry counts."""
        for entry in self._filesystem.walk(top):
            self.walked += 1
            yield entry

    def read(self, entry: Entry) -> Iterator[bytes]:
        """See ``Filesystem.read``; each file counts once."""
        self.opened.add(entry.path)
        return self._filesystem.read(entry)

    def lookup(self, path: bytes) -> Entry | None:
        """See ``Filesystem.lookup``."""
        self.lookups += 1
        return self._filesystem.lookup(path)

    def close(self) -> None:
        """Close the file system."""
        self._filesystem.close()


def main(disk: str) -> None:
    """Open the guest, inspect it, and inspect it once more to see who takes how much."""
    importlib.import_module("converters.reader.child")  # all that the reading process imports
    started = time.process_time()
    reading = Reading(engines=tuple(str(engine) for engine in Engine))
    before = bytes_read()
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        begun = time.process_time()
        with open_guest([detect(disk)], Path(scratch), reading) as tree:
            opened, opened_bytes = time.process_time(), bytes_read()
            guest = inspect(tree)
            inspected, inspected_bytes = time.process_time(), bytes_read()
            counting = Counting(tree)
            parts = costs(counting)
    figures = {
        "start": started,
        "opening": opened - begun,
        "inspection": inspected - opened,
        "bytes_opening": opened_bytes - before,
        "bytes_inspection": inspected_bytes - opened_bytes,
        "files": len(counting.opened),
        "lookups": counting.lookups,
        "walked": counting.walked,
        "services": len(guest.services),
        "parts": parts,
    }
    print(json.dumps(figures))


def bytes_read() -> int:
    """Bytes that this process has read (proc(5), ``rchar``): of the disk, once everything is imported."""
    return int(Path("/proc/self/io").read_text().split()[1])


def costs(filesystem: Filesystem) -> dict[str, float]:
    """What part of an inspection each function takes that ``inspect`` calls, largest first; 1 is all."""
    profile = cProfile.Profile()
    profile.runcall(inspect, filesystem)
    stats = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    code = inspect.__code__
    whole = code.co_filename, code.co_firstlineno, code.co_name
    total = stats[whole][3]
    shares = {
        f"{Path(file).stem}.{name}": callers[whole][3] / total
        for (file, _, name), (*_, callers) in stats.items()
        if whole in callers
    }
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


if __name__ == "__main__":
    main(sys.argv[1])
