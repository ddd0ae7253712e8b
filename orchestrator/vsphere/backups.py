"""Backup products' snapshots, known by what they are called: they are waited for, and never touched. Pure.

Sources of the exact names: Veeam KB 1790 (name and description); CA ARCserve Backup r16, "How the Agent Names
Mount Points" (VMware Consolidated Backup); ManageIQ's ``MiqVimVm`` (VCB, Consolidate Helper, NetApp SMVI);
vCheck for vSphere, plug-in "Backup Garbage" (NetBackup, Commvault). A snapshot whose name begins with another
product's counts as that product's; what a person calls ``before the Veeam upgrade`` is nobody's but theirs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

LEFTOVER_SECONDS = 24 * 3600.0
"""Age from which on such a snapshot counts as forgotten: backups run daily, and remove it when they end."""


@dataclass(frozen=True, slots=True)
class BackupSnapshot:
    """A snapshot that a backup product made."""

    product: str
    name: str
    created: float
    """Seconds since 1970-01-01 UTC, by vCenter's clock."""

    def running(self, now: float) -> bool:
        """Whether the backup is likely to be at work still; ``now`` by vCenter's clock."""
        return now - self.created < LEFTOVER_SECONDS


_BY_NAME = (
    (r"VEEAM BACKUP TEMPORARY SNAPSHOT|Veeam.*(Backup|Replica|Temporary)", "Veeam Backup & Replication"),
    (r"_VCB-BACKUP_", "VMware Consolidated Backup"),
    (r"NBU_SNAPSHOT|NetBackup", "NetBackup"),
    (r"_*GX_BACKUP|Commvault", "Commvault"),
    (r"smvi_", "NetApp SnapCenter / VSC"),
    (r"Consolidate Helper", "a disk consolidation"),
    (r"Rubrik", "Rubrik"),
    (r"Cohesity", "Cohesity"),
    (r"Avamar|VDP-|vSphere Data Protection", "Avamar / VDP"),
    (r"NetWorker|PowerProtect|PPDM", "NetWorker / PowerProtect"),
    (r"NAKIVO", "NAKIVO"),
    (r"Acronis", "Acronis"),
    (r"Zerto", "Zerto"),
    (r"Arcserve", "Arcserve"),
    (r"TSM[- ]VM|IBM Spectrum Protect|Storage Protect", "IBM Spectrum Protect"),
    (r"Unitrends", "Unitrends"),
    (r"HYCU", "HYCU"),
    (r"Druva", "Druva"),
    (r"Bacula|Bareos", "Bacula / Bareos"),
    (r"Data ?Protector", "Data Protector"),
    (r"Vembu|BDRSuite", "Vembu"),
    (r"Backup Exec", "Backup Exec"),
)
_BY_DESCRIPTION = ((r"being used by Veeam Backup", "Veeam Backup & Replication"),)
_NAMES = tuple((re.compile(rf"\W*({form})", re.IGNORECASE), product) for form, product in _BY_NAME)
_DESCRIPTIONS = tuple((re.compile(form, re.IGNORECASE), product) for form, product in _BY_DESCRIPTION)


def product_of(name: str, description: str = "") -> str:
    """The backup product that made a snapshot of that name and description; empty for anybody else."""
    by_name = (product for form, product in _NAMES if form.match(name))
    by_description = (product for form, product in _DESCRIPTIONS if form.search(description))
    return next(by_name, "") or next(by_description, "")


def latest(snapshots: Iterable[tuple[str, str, float]]) -> BackupSnapshot | None:
    """The newest backup snapshot among (name, description, created); None: there is none."""
    found = (
        BackupSnapshot(product, name, created)
        for name, description, created in snapshots
        if (product := product_of(name, description))
    )
    return max(found, key=lambda one: one.created, default=None)
