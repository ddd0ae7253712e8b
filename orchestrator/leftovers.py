"""What this ledger's dead runs left in vCenter, told from what another orchestrator or a live run needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from orchestrator.ledger import Ledger
from orchestrator.ledger.records import OpenSnapshot
from orchestrator.vsphere.api import VCenterApi
from orchestrator.vsphere.marker import Marker, may_sweep, parse_marker
from orchestrator.vsphere.values import SnapshotRef


@dataclass(frozen=True, slots=True)
class Found:
    """What there is to sweep, and what only looks like it."""

    mine: tuple[SnapshotRef, ...] = ()
    """Left by dead runs of this ledger: name, description and ledger say so."""
    left_alone: tuple[tuple[SnapshotRef, str], ...] = ()
    """Each with the reason."""
    unseen: tuple[OpenSnapshot, ...] = ()
    """Asked for by runs that died, and not in vCenter: never made, or still being made."""

    @property
    def items(self) -> tuple[SnapshotRef | OpenSnapshot, ...]:
        """Everything that is to be seen to."""
        return (*self.mine, *self.unseen)


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
