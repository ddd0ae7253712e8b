"""Peak memory of a process and everything it starts, seen from outside."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

_INTERVAL_SECONDS = 0.02
_PAGE = os.sysconf("SC_PAGE_SIZE")


class PeakMemory:
    """Samples the resident memory of process ``pid`` and its descendants, summed, while it is entered.

    Pages that several of them share count once for each: the true figure is a little lower.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._bytes = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def mib(self) -> float:
        """The largest sum seen, in MiB."""
        return self._bytes / (1 << 20)

    def _sample(self) -> None:
        while not self._ended.wait(_INTERVAL_SECONDS):
            self._bytes = max(self._bytes, _resident(self._pid))


def _resident(pid: int) -> int:
    """Bytes resident in a process and its descendants; 0 for one that has ended."""
    process = Path(f"/proc/{pid}")
    try:
        own = int((process / "statm").read_text().split()[1]) * _PAGE
        children = [
            int(child) for path in process.glob("task/*/children") for child in path.read_text().split()
        ]
    except OSError:
        return 0
    return own + sum(map(_resident, children))
