"""Removes what this ledger's dead runs left in vCenter; never another orchestrator's, nor a live run's."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType

from orchestrator.errors import OrchestratorError
from orchestrator.failures import failure_of
from orchestrator.fleet.surroundings import Leftovers
from orchestrator.ledger import Ledger, LedgerError
from orchestrator.ledger.records import OpenSnapshot
from orchestrator.leftovers import Found, look
from orchestrator.vsphere.api import VCenterApi
from orchestrator.vsphere.marker import Marker, parse_marker
from orchestrator.vsphere.values import SnapshotRef

log = logging.getLogger(__name__)

HANGING_SECONDS = 600.0
"""After which a removal counts as hanging: what waits for its place waits no longer."""
_AT_ONCE = 4
"""Removals at a time on one datastore: each is heavy work for it."""
_IN_ALL = 32
"""Removals at a time."""
_LOOK_SECONDS = 0.5
"""A signal, and a removal that hangs, are noticed as soon."""


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
    hanging: float = HANGING_SECONDS,
) -> Sweep:
    """Begin to remove the snapshots that dead runs of this ledger left; None: in every datacenter.

    Args:
        own_run: the run that sweeps, which has none yet.
        patience: how many seconds to wait for what else holds a VM.
        hanging: after so many seconds a removal holds up none that waits for its place.
    """
    found = look(vcenter, ledger, datacenter, lambda: ledger.settle_runs() - {own_run})
    vms = {item.vm for item in found.items}
    places = {place.vm: place.datastores for place in vcenter.whereabouts(vms).placements} if vms else {}
    return Sweep(vcenter, ledger, found, places, patience, hanging)


class Sweep:
    """Removals that go on beside other work, as each may take hours; a context manager.

    At its end no more are begun. One that vCenter is at work on goes on there, and a later sweep sees to it.
    """

    def __init__(
        self,
        vcenter: VCenterApi,
        ledger: Ledger,
        found: Found,
        places: Mapping[str, tuple[str, ...]],
        patience: float,
        hanging: float,
    ) -> None:
        """``places`` are the datastores, by name, that each VM, by moref, writes to."""
        self._vcenter = vcenter
        self._ledger = ledger
        self._patience = patience
        self._hanging = hanging
        self._found = found
        self._places = places
        self._changed = threading.Condition()
        self._todo = {_reference(item): item for item in found.items}
        self._begun: dict[SnapshotRef, float] = {}
        self._removed: list[SnapshotRef] = []
        self._failed: list[tuple[SnapshotRef, str]] = []
        self._unseen: list[OpenSnapshot] = []
        self._listener: Callable[[Leftovers], None] = lambda leftovers: None

    def __enter__(self) -> Sweep:
        # Daemons: a removal that lasts must not keep an interrupted process from its end.
        if self._todo:
            threading.Thread(target=self._begin_all, name="sweep", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._todo.clear()
            self._listener = lambda leftovers: None

    def tell(self, listener: Callable[[Leftovers], None]) -> None:
        """Tell what is still there, now and whenever it changes; ``listener`` must not block."""
        with self._changed:
            self._listener = listener
            listener(self._leftovers())

    def wait(self, seconds: float = math.inf, stopping: Callable[[], bool] = lambda: False) -> Swept:
        """What is done when all is done, so many seconds have passed, or ``stopping`` says so."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while (
                (self._todo or self._begun) and not stopping() and (left := deadline - time.monotonic()) > 0
            ):
                self._changed.wait(min(left, _LOOK_SECONDS))
            return Swept(
                removed=tuple(self._removed),
                failed=tuple(self._failed),
                going_on=(*self._begun, *self._todo),
                left_alone=self._found.left_alone,
                unseen=tuple(self._unseen),
            )

    def _begin_all(self) -> None:
        with self._changed:
            while self._todo:
                while (reference := self._next()) is not None:
                    item = self._todo.pop(reference)
                    self._begun[reference] = time.monotonic()
                    threading.Thread(
                        target=self._settle, args=(reference, item), name="removal", daemon=True
                    ).start()
                self._changed.wait(_LOOK_SECONDS)

    def _next(self) -> SnapshotRef | None:
        """The first one that has a place: hanging removals take none."""
        since = time.monotonic() - self._hanging
        busy = [reference for reference, begun in self._begun.items() if begun >= since]
        if len(busy) >= _IN_ALL:
            return None
        taken = self._count(busy)
        return next(
            (one for one in self._todo if all(taken[store] < _AT_ONCE for store in self._stores(one))), None
        )

    def _stores(self, snapshot: SnapshotRef) -> tuple[str, ...]:
        return self._places.get(snapshot.vm, ())

    def _count(self, snapshots: Iterable[SnapshotRef]) -> Counter[str]:
        return Counter(store for one in snapshots for store in self._stores(one))

    def _leftovers(self) -> Leftovers:
        staying = self._count(snapshot for snapshot, _ in self._failed)
        return Leftovers(self._count((*self._begun, *self._todo)), staying)

    def _settle(self, reference: SnapshotRef, item: SnapshotRef | OpenSnapshot) -> None:
        """See to one snapshot, and write down how that ended."""
        why, seen = "", True
        try:
            seen = self._remove(item)
        except Exception as error:  # whatever it is, the others are waited for
            why = str(error) if isinstance(error, OrchestratorError) else failure_of(error).message
            log.warning("the snapshot %s of %s stays: %s", reference.name, _place(reference), why)
        with self._changed:
            del self._begun[reference]
            if why:
                self._failed.append((reference, why))
            elif seen:
                self._removed.append(reference)
            elif isinstance(item, OpenSnapshot):
                self._unseen.append(item)
            self._listener(self._leftovers())
            self._changed.notify_all()

    def _remove(self, item: SnapshotRef | OpenSnapshot) -> bool:
        """Whether there was a snapshot; one that was asked for may come yet, or be half gone."""
        match item:
            case SnapshotRef():
                marker = parse_marker(item.description)
                if marker is not None:
                    self._write_found(marker, item.moref)
                self._vcenter.remove_snapshot(item, self._patience)
                if marker is not None:
                    self._ledger.snapshot_gone(marker.run, marker.job)
                return True
            case OpenSnapshot():
                wanted = Marker(self._ledger.id, item.run, item.job, expires=0)
                removal = self._vcenter.withdraw_snapshot(
                    item.vm,
                    wanted,
                    patience=self._patience,
                    was_made=item.made,
                    found=lambda moref: self._write_found(wanted, moref),
                )
                if item.made or not removal.already_gone:
                    self._ledger.snapshot_gone(item.run, item.job)
                return removal.consolidated or not removal.already_gone

    def _write_found(self, marker: Marker, moref: str) -> None:
        """Before the removal: if this process dies in it, the next sweep knows whose disks to merge."""
        try:
            self._ledger.snapshot_found(marker.run, marker.job, moref)
        except LedgerError as error:
            log.warning("that %s was there is not in the ledger: %s", marker.name, error)


def forget(ledger: Ledger, unseen: Iterable[OpenSnapshot]) -> None:
    """Close the ledger's entries of what vCenter does not have; if it is made yet, a later sweep finds it."""
    for intended in unseen:
        ledger.snapshot_gone(intended.run, intended.job)


def _reference(item: SnapshotRef | OpenSnapshot) -> SnapshotRef:
    match item:
        case SnapshotRef():
            return item
        case OpenSnapshot():
            return SnapshotRef(item.vm, "", item.name, "", item.intended)


def _place(snapshot: SnapshotRef) -> str:
    return snapshot.vm_name or snapshot.vm
