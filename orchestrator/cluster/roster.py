"""Which workers there are: who joined, who is lost, and what the lost ones are to clean up. No Dask here."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.cluster.values import CONVERT
from orchestrator.pulse import Pulse


@dataclass(frozen=True, slots=True)
class Changes:
    """What a look at the scheduler's workers has shown."""

    joined: Mapping[str, int]
    """Convert slots by worker."""
    lost: frozenset[str]
    frozen: frozenset[str]
    """Those of them that are there, and give no sign of life."""


class Roster:
    """The workers that convert. Thread-safe."""

    def __init__(self, silent_seconds: float) -> None:
        """A worker without a sign of life for ``silent_seconds`` counts as lost."""
        self._pulse = Pulse(silent_seconds)
        self._lock = threading.Lock()
        self._slots: dict[str, int] = {}
        self._owed: dict[str, list[tuple[str, int]]] = {}
        """By worker that is lost: jobs and attempts that it is to discard if it comes back."""

    @property
    def slots(self) -> Mapping[str, int]:
        """Convert slots by worker."""
        with self._lock:
            return dict(self._slots)

    def update(self, known: Mapping[str, Any], now: float) -> Changes:
        """Take over what a scheduler knows of its workers; lost ones are still to be removed.

        ``now`` is in seconds by any clock that does not go back.
        """
        silent = self._pulse.frozen({address: one["last_seen"] for address, one in known.items()}, now)
        slots = {address: int(one["resources"].get(CONVERT, 0)) for address, one in known.items()}
        there = {address: count for address, count in slots.items() if count and address not in silent}
        with self._lock:
            joined = {address: count for address, count in there.items() if address not in self._slots}
            self._slots.update(joined)
            lost = frozenset(self._slots) - frozenset(there)
        return Changes(joined, lost, silent & lost)

    def remove(self, worker: str) -> bool:
        """It is lost; whether that is news."""
        with self._lock:
            return self._slots.pop(worker, None) is not None

    def owe(self, worker: str, job: str, attempt: int) -> bool:
        """It is to discard the job's attempts up to this one; whether it can be told so now."""
        with self._lock:
            if worker in self._slots:
                return True
            self._owed.setdefault(worker, []).append((job, attempt))
            return False

    def pop_owed(self, worker: str) -> tuple[tuple[str, int], ...]:
        """What it could not be told while it was lost."""
        with self._lock:
            return tuple(self._owed.pop(worker, ()))
