"""Which snapshots are a backup product's."""

from __future__ import annotations

import pytest

from orchestrator.vsphere.backups import LEFTOVER_SECONDS, BackupSnapshot, latest, product_of


@pytest.mark.parametrize(
    ("name", "product"),
    [
        ("VEEAM BACKUP TEMPORARY SNAPSHOT", "Veeam Backup & Replication"),
        ("NBU_SNAPSHOT esx01 1363286415", "NetBackup"),
        ("__GX_BACKUP__", "Commvault"),
        ("_VCB-BACKUP_", "VMware Consolidated Backup"),
        ("Consolidate Helper- 0", "a disk consolidation"),
        ("smvi_5f0c_recent", "NetApp SnapCenter / VSC"),
        ("Avamar-1355184012", "Avamar / VDP"),
        ("Cohesity-Snapshot-17", "Cohesity"),
        ("rubrik-5c1b", "Rubrik"),
    ],
)
def test_a_backup_products_snapshot_is_known_by_its_name(name: str, product: str) -> None:
    assert product_of(name) == product


@pytest.mark.parametrize(
    "name", ["before the Veeam upgrade", "before upgrade", "", "old NBU_SNAPSHOT test", "consolidated db"]
)
def test_what_people_call_their_snapshots_is_no_backup(name: str) -> None:
    assert product_of(name, "backup before I try this") == ""


def test_a_renamed_one_is_known_by_its_description() -> None:
    said = "Please do not delete this snapshot. It is being used by Veeam Backup."
    assert product_of("nightly", said) == "Veeam Backup & Replication"


def test_the_newest_decides_and_an_old_one_is_forgotten() -> None:
    found = latest([("NBU_SNAPSHOT a", "", 10.0), ("mine", "", 30.0), ("NBU_SNAPSHOT b", "", 20.0)])
    assert found == BackupSnapshot("NetBackup", "NBU_SNAPSHOT b", 20.0)
    assert found.running(20.0 + LEFTOVER_SECONDS - 1)
    assert not found.running(20.0 + LEFTOVER_SECONDS)
    assert latest([("mine", "", 30.0)]) is None
