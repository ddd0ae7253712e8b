"""Removes what this ledger's dead runs left in vCenter; never another orchestrator's, nor a live run's."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType

from orchestrator.errors import OrchestratorError
from orchestrator.failures import failure_of
from orchestrator.ledger import Ledger
from orchestrator.ledger.records import OpenSnapshot
from orchestrator.vsphere.api import VCenterApi
from orchestrator.vsphere.marker import Marker, may_sweep, parse_marker
from orchestrator.vsphere.values import SnapshotRef

log = logging.getLogger(__name__)

_AT_ONCE = 4
"""Removals at a time: each is heavy work for a datastore."""
_LOOK_SECONDS = 0.5
"""A signal is noticed as soon."""


@dataclass(frozen=True, slots=True)
class Found:
    """What there is to sweep, and what only looks like it."""

    mine: tuple[SnapshotRef, ...] = ()
    """Left by dead runs of this ledger: name, description and ledger say so."""
    left_alone: tuple[tuple[SnapshotRef, str], ...] = ()
    """Each with the reason."""
    unseen: tuple[OpenSnapshot, ...] = ()
    """Asked for by runs that died, and not in vCenter: never made, or still being made."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep did."""

    removed: tuple[SnapshotRef, ...] = ()
    failed: tuple[tuple[SnapshotRef, str], ...] = ()
    """Each with the reason why it is still there."""
    going_on: tuple[SnapshotRef, ...] = ()
    """Not removed yet."""
    left_alone: tuple[tuple[SnapshotRef, str], ...] = ()
    """Each with the reason."""
    unseen: tuple[OpenSnapshot, ...] = ()
    """As in ``Found``: nothing of them is at work either, as far as vCenter tells."""


def look(
    vcenter: VCenterApi, ledger: Ledger, datacenter: str | None, live: Callable[[], Iterable[str]]
) -> Found:
    """What a sweep would remove while the runs that ``live`` gives are at work; changes nothing.

    ``datacenter``: None for every one.
    """
    listed = [
        (snapshot, parse_marker(snapshot.description)) for snapshot in vcenter.own_snapshots(datacenter)
    ]
    asked_for = ledger.open_snapshots()
    # Last: what a run that begins meanwhile makes or asks for must not look like a dead one's.
    at_work = frozenset(live())
    known = ledger.known_runs()
    mine: list[SnapshotRef] = []
    left_alone: list[tuple[SnapshotRef, str]] = []
    for snapshot, marker in listed:
        if why := _spared(snapshot, marker, ledger.id, known, at_work):
            left_alone.append((snapshot, why))
        else:
            mine.append(snapshot)
    place = (vcenter.about().instance_uuid, datacenter)
    there = {(marker.run, marker.job) for _, marker in listed if marker is not None}
    unseen = tuple(
        intended
        for intended in asked_for
        if place in ((intended.vcenter, None), (intended.vcenter, intended.datacenter))
        and intended.run not in at_work
        and (intended.run, intended.job) not in there
    )
    return Found(tuple(mine), tuple(left_alone), unseen)


def sweep(
    vcenter: VCenterApi,
    ledger: Ledger,
    datacenter: str | None = None,
    own_run: str = "",
    patience: float = math.inf,
) -> Swept:
    """Remove the snapshots that dead runs of this ledger left, and return when all is done.

    Arguments as of ``begin``.
    """
    with begin(vcenter, ledger, datacenter, own_run, patience) as sweeping:
        return sweeping.wait()


def begin(
    vcenter: VCenterApi,
    ledger: Ledger,
    datacenter: str | None = None,
    own_run: str = "",
    patience: float = math.inf,
) -> Sweep:
    """Begin to remove the snapshots that dead runs of this ledger left; None: in every datacenter.

    Args:
        own_run: the run that sweeps, which has none yet.
        patience: how many seconds to wait for what else holds a VM.
    """
    found = look(vcenter, ledger, datacenter, lambda: ledger.settle_runs() - {own_run})
    return Sweep(vcenter, ledger, found, patience)


class Sweep:
    """Removals that go on beside other work, as each may take hours; a context manager.

    At its end no more are begun. One that vCenter is at work on goes on there, and a later sweep sees to it.
    """

    def __init__(self, vcenter: VCenterApi, ledger: Ledger, found: Found, patience: float) -> None:
        self._vcenter = vcenter
        self._ledger = ledger
        self._patience = patience
        self._found = found
        self._changed = threading.Condition()
        self._todo = deque[SnapshotRef | OpenSnapshot]((*found.mine, *found.unseen))
        self._open = {_reference(item): item for item in self._todo}
        self._removed: list[SnapshotRef] = []
        self._failed: list[tuple[SnapshotRef, str]] = []
        self._unseen: list[OpenSnapshot] = []

    def __enter__(self) -> Sweep:
        # Daemons: a removal that lasts must not keep an interrupted process from its end.
        for number in range(min(_AT_ONCE, len(self._todo))):
            threading.Thread(target=self._work, name=f"sweep-{number}", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._todo.clear()

    def wait(self, seconds: float = math.inf, stopping: Callable[[], bool] = lambda: False) -> Swept:
        """What is done when all is done, so many seconds have passed, or ``stopping`` says so."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while self._open and not stopping() and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(min(left, _LOOK_SECONDS))
            return Swept(
                removed=tuple(self._removed),
                failed=tuple(self._failed),
                going_on=tuple(self._open),
                left_alone=self._found.left_alone,
                unseen=tuple(self._unseen),
            )

    def _work(self) -> None:
        while True:
            with self._changed:
                if not self._todo:
                    return
                item = self._todo.popleft()
            self._settle(item)

    def _settle(self, item: SnapshotRef | OpenSnapshot) -> None:
        """See to one snapshot, and write down how that ended."""
        reference, why, seen = _reference(item), "", True
        try:
            seen = self._remove(item)
        except Exception as error:  # whatever it is, the others are waited for
            why = str(error) if isinstance(error, OrchestratorError) else failure_of(error).message
            log.warning("the snapshot %s of %s stays: %s", reference.name, _place(reference), why)
        with self._changed:
            del self._open[reference]
            if why:
                self._failed.append((reference, why))
            elif seen:
                self._removed.append(reference)
            elif isinstance(item, OpenSnapshot):
                self._unseen.append(item)
            self._changed.notify_all()

    def _remove(self, item: SnapshotRef | OpenSnapshot) -> bool:
        """Whether there was a snapshot; one that was asked for may come yet, or be half gone."""
        match item:
            case SnapshotRef():
                marker = parse_marker(item.description)
                self._vcenter.remove_snapshot(item, self._patience)
                if marker is not None:
                    self._ledger.snapshot_gone(marker.run, marker.job)
                return True
            case OpenSnapshot():
                wanted = Marker(self._ledger.id, item.run, item.job, expires=0)
                removal = self._vcenter.withdraw_snapshot(item.vm, wanted, patience=self._patience)
                if not removal.already_gone:
                    self._ledger.snapshot_gone(item.run, item.job)
                return not removal.already_gone


def forget(ledger: Ledger, unseen: Iterable[OpenSnapshot]) -> None:
    """Close the ledger's entries of what vCenter does not have; if it is made yet, a later sweep finds it."""
    for intended in unseen:
        ledger.snapshot_gone(intended.run, intended.job)


def _spared(
    snapshot: SnapshotRef, marker: Marker | None, ledger: str, known: frozenset[str], live: frozenset[str]
) -> str:
    """Why a snapshot with a marker of this product stays; empty when it does not."""
    if marker is None or marker.ledger != ledger:
        return "another ledger's"
    if snapshot.name != marker.name:
        return f"somebody renamed it, who may want to keep it; it was {marker.name}"
    if marker.run not in known:
        # A ledger that was copied or restored has the other one's identity, and not its later runs.
        return (
            "this ledger knows no such run: one that it was copied from may be at work; if none is, remove it"
        )
    if not may_sweep(marker, ledger, live):
        return "its run is at work"
    return ""


def _reference(item: SnapshotRef | OpenSnapshot) -> SnapshotRef:
    match item:
        case SnapshotRef():
            return item
        case OpenSnapshot():
            return SnapshotRef(item.vm, "", item.name, "", item.intended)


def _place(snapshot: SnapshotRef) -> str:
    return snapshot.vm_name or snapshot.vm
