"""Removes what this ledger's dead runs left in vCenter; never another orchestrator's, nor a live run's."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass

from orchestrator.errors import OrchestratorError
from orchestrator.ledger import Ledger
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
    if datacenter is None:
        _forget_unmade(ledger, {snapshot.vm for snapshot in found}, live)
    return Swept(tuple(removed), tuple(failed), tuple(left_alone))


def _forget_unmade(ledger: Ledger, vms_with_one: Collection[str], live: Collection[str]) -> None:
    """Close the ledger's entries of snapshots that vCenter does not have: never made, or removed by hand."""
    for intended in ledger.open_snapshots():
        if intended.run not in live and intended.vm not in vms_with_one:
            ledger.snapshot_gone(intended.run, intended.job)
