"""Removes what this ledger's dead runs left in vCenter; never another orchestrator's, nor a live run's."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from orchestrator.errors import OrchestratorError
from orchestrator.ledger import Ledger
from orchestrator.ledger.records import OpenSnapshot
from orchestrator.vsphere.api import VCenterApi
from orchestrator.vsphere.marker import may_sweep, parse_marker
from orchestrator.vsphere.values import SnapshotRef

log = logging.getLogger(__name__)


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


def sweep(vcenter: VCenterApi, ledger: Ledger, datacenter: str | None = None, own_run: str = "") -> Swept:
    """Remove the snapshots that dead runs of this ledger left; None: in every datacenter.

    Args:
        own_run: the run that sweeps, which has none yet.
    """
    found = vcenter.own_snapshots(datacenter)
    live = ledger.live_runs() - {own_run}
    now = vcenter.current_time()
    removed: list[SnapshotRef] = []
    failed: list[tuple[SnapshotRef, str]] = []
    left_alone: list[SnapshotRef] = []
    for snapshot in found:
        marker = parse_marker(snapshot.description)
        if marker is None or not may_sweep(marker, ledger.id, live, now):
            left_alone.append(snapshot)
            continue
        try:
            vcenter.remove_snapshot(snapshot)
        except OrchestratorError as error:
            log.warning("the snapshot %s of %s stays: %s", snapshot.name, snapshot.vm_name, error)
            failed.append((snapshot, str(error)))
        else:
            removed.append(snapshot)
            ledger.snapshot_gone(marker.run, marker.job)
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
