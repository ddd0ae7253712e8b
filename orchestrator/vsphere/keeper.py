"""Keeps export leases alive while their disks are downloaded, and ends those that no longer deserve it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from orchestrator.errors import LeaseError, OrchestratorError
from orchestrator.vsphere.values import Lease

log = logging.getLogger(__name__)

BUSY_SECONDS = 10.0
"""A vMotion by DRS takes about as long. A relocation of disks takes hours, for which no snapshot must wait;
nor may a run that is cancelled wait for it."""
_RETRY_SECONDS = 1.0
_COMPLETE = 100


@dataclass(frozen=True, slots=True)
class LeaseLimits:
    """How long a lease may be kept, as it blocks power-on, destruction and migration of its VM. Seconds."""

    total: float = 12 * 3600.0
    idle: float = 300.0
    """Without a byte."""
    busy: float = BUSY_SECONDS
    """Until it is asked for no more, while another task holds the VM."""


class LeaseCalls(Protocol):
    """What the keeper does to a lease at vCenter."""

    def progress(self, moref: str, percent: int) -> None:
        """Raises ``LeaseError`` when the lease has ended, another error when vCenter is away."""
        ...

    def abort(self, moref: str, reason: str) -> None:
        """Raises nothing."""
        ...


@dataclass(slots=True)
class _Kept:
    lease: Lease
    opened: float
    alive: float
    """When vCenter last heard of the lease."""
    moved: float
    """When ``received`` last grew."""
    due: float
    received: int = 0
    ended: str = ""
    """Why the lease is over."""
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.size = sum(disk.file_size or disk.capacity for disk in self.lease.disks)

    @property
    def percent(self) -> int:
        """What vCenter is told: never complete before it is."""
        return min(_COMPLETE - 1, self.received * _COMPLETE // max(self.size, 1))

    @property
    def interval(self) -> float:
        """A little under a third of the time-out, so that two reports may be lost."""
        return self.lease.timeout * 0.3


class Keeper:
    """One thread for all open leases; a context manager, at whose end no lease is open."""

    def __init__(
        self, calls: LeaseCalls, limits: LeaseLimits, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._calls = calls
        self._limits = limits
        self._clock = clock
        self._kept: dict[str, _Kept] = {}
        self._changed = threading.Condition()
        self._closing = False
        self._thread: threading.Thread | None = None

    def keep(self, lease: Lease) -> None:
        """Begin to report for ``lease``."""
        now = self._clock()
        with self._changed:
            self._kept[lease.moref] = kept = _Kept(lease, now, now, now, now)
            kept.due = now + kept.interval
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="lease-keeper", daemon=True)
                self._thread.start()
            self._changed.notify()

    def received(self, moref: str, count: int) -> None:
        """``count`` bytes have arrived so far. Raises ``LeaseError`` when the lease is over."""
        with self._changed:
            kept = self._kept.get(moref)
            if kept is None:
                raise LeaseError(f"the export lease {moref} is not open")
            if kept.ended:
                raise LeaseError(f"the export lease of {kept.lease.vm} is over: {kept.ended}")
            if count > kept.received:
                kept.received = count
                kept.moved = self._clock()

    def ended(self, moref: str) -> str:
        """Why a lease that is kept is over; empty while it is not, as far as is known."""
        with self._changed:
            kept = self._kept.get(moref)
            return kept.ended if kept is not None else ""

    def release(self, moref: str) -> bool:
        """Stop reporting; whether the lease was still alive as far as is known."""
        with self._changed:
            kept = self._kept.pop(moref, None)
            return kept is not None and not kept.ended

    def close(self) -> None:
        """Stop the thread, and abort what is still open."""
        with self._changed:
            self._closing = True
            self._changed.notify()
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()
        for moref in list(self._kept):
            if self.release(moref):
                self._calls.abort(moref, "the run ends")

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._closing:
                    return
                open_now = [kept for kept in self._kept.values() if not kept.ended]
                wake = min((self._wake(kept) for kept in open_now), default=None)
                delay = None if wake is None else wake - self._clock()
                if delay is None or delay > 0:
                    self._changed.wait(delay)
                    continue
            for kept in open_now:
                if self._wake(kept) <= self._clock():
                    try:
                        self._attend(kept)
                    except Exception:  # one lease's trouble must not become the others'
                        log.exception("the export lease of %s could not be attended to", kept.lease.vm)
                        kept.due = self._clock() + min(_RETRY_SECONDS, kept.interval)

    def _wake(self, kept: _Kept) -> float:
        return min(kept.due, kept.moved + self._limits.idle, kept.opened + self._limits.total)

    def _attend(self, kept: _Kept) -> None:
        now = self._clock()
        if now >= kept.opened + self._limits.total:
            self._give_up(kept, f"it was open for {self._limits.total:.0f} s, the limit")
        elif now >= kept.moved + self._limits.idle:
            self._give_up(kept, f"no byte arrived for {self._limits.idle:.0f} s")
        else:
            self._report(kept)

    def _report(self, kept: _Kept) -> None:
        try:
            self._calls.progress(kept.lease.moref, kept.percent)
        except LeaseError as error:
            self._over(kept, error.message)
        except OrchestratorError as error:
            log.warning("no progress can be reported for the lease of %s: %s", kept.lease.vm, error)
            if self._clock() - kept.alive > kept.lease.timeout:
                self._over(kept, f"vCenter was away for its time-out: {error.message}")
            kept.due = self._clock() + min(_RETRY_SECONDS, kept.interval)
        else:
            kept.alive = self._clock()
            kept.due = kept.alive + kept.interval

    def _give_up(self, kept: _Kept, reason: str) -> None:
        self._over(kept, reason)
        self._calls.abort(kept.lease.moref, reason)

    def _over(self, kept: _Kept, reason: str) -> None:
        with self._changed:
            kept.ended = reason
            released = self._kept.get(kept.lease.moref) is not kept
        if not released:
            log.warning("the export lease of %s is over: %s", kept.lease.vm, reason)
