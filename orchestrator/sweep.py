"""Removes what this ledger's dead runs left in vCenter; never another orchestrator's, nor a live run's."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from orchestrator.errors import OrchestratorError
from orchestrator.ledger import Ledger
from orchestrator.ledger.records import OpenSnapshot
from orchestrator.vsphere.api import VCenterApi
from orchestrator.vsphere.marker import Marker, may_sweep, parse_marker
from orchestrator.vsphere.values import SnapshotRef

log = logging.getLogger(__name__)

_AT_ONCE = 4
"""Removals at a time: each is heavy work for a datastore."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep did."""

    removed: tuple[SnapshotRef, ...] = ()
    failed: tuple[tuple[SnapshotRef, str], ...] = ()
    """Each with the reason why it is still there."""
    left_alone: tuple[SnapshotRef, ...] = ()
    """Made by another ledger, or by a run that is at work."""
    unseen: tuple[OpenSnapshot, ...] = ()
    """Asked for by runs that died, and not in vCenter: never made, or still being made."""


def sweep(
    vcenter: VCenterApi,
    ledger: Ledger,
    datacenter: str | None = None,
    own_run: str = "",
    patience: float = math.inf,
) -> Swept:
    """Remove the snapshots that dead runs of this ledger left; None: in every datacenter.

    Args:
        own_run: the run that sweeps, which has none yet.
        patience: how many seconds to wait for what else holds a VM.
    """
    found = vcenter.own_snapshots(datacenter)
    live = ledger.settle_runs() - {own_run}
    mine: list[tuple[SnapshotRef, Marker]] = []
    left_alone: list[SnapshotRef] = []
    for snapshot in found:
        marker = parse_marker(snapshot.description)
        if marker is None or not may_sweep(marker, ledger.id, live):
            left_alone.append(snapshot)
        else:
            mine.append((snapshot, marker))

    def remove(one: tuple[SnapshotRef, Marker]) -> str:
        """Why it stays; empty when it does not."""
        snapshot, marker = one
        try:
            vcenter.remove_snapshot(snapshot, patience)
        except OrchestratorError as error:
            log.warning("the snapshot %s of %s stays: %s", snapshot.name, snapshot.vm_name, error)
            return str(error)
        ledger.snapshot_gone(marker.run, marker.job)
        return ""

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="sweep") as pool:
        reasons = list(pool.map(remove, mine))
    removed = [snapshot for (snapshot, _), why in zip(mine, reasons, strict=True) if not why]
    failed = [(snapshot, why) for (snapshot, _), why in zip(mine, reasons, strict=True) if why]
    place = (vcenter.about().instance_uuid, datacenter)
    seen = {snapshot.vm for snapshot in found}
    unseen = tuple(
        intended
        for intended in ledger.open_snapshots()
        if place in ((intended.vcenter, None), (intended.vcenter, intended.datacenter))
        and intended.run not in live
        and intended.vm not in seen
    )
    return Swept(tuple(removed), tuple(failed), tuple(left_alone), unseen)


def forget(ledger: Ledger, unseen: Iterable[OpenSnapshot]) -> None:
    """Close the ledger's entries of what vCenter does not have; if it is made yet, a later sweep finds it."""
    for intended in unseen:
        ledger.snapshot_gone(intended.run, intended.job)
