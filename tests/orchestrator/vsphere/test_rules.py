from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.vsphere.rules import SnapshotFacts, SnapshotLimits, refusal
from orchestrator.vsphere.values import DatastoreInfo, DiskDevice, Refusal

DISK = DiskDevice(2000, "Hard disk 1", 1 << 30, "[ds] a/a.vmdk", "persistent")
STORE = DatastoreInfo("datastore-1", "ds", 100, 10)
GOOD = SnapshotFacts(
    template=False,
    connected=True,
    disks=(DISK,),
    depth=7,
    consolidation_needed=False,
    fault_tolerance=False,
    managed_by="",
    datastores=(STORE,),
)


def test_at_the_limits_a_snapshot_is_allowed() -> None:
    assert refusal(GOOD, SnapshotLimits(depth=8, free_fraction=0.1)) is None


@pytest.mark.parametrize(
    ("change", "reason", "detail"),
    [
        ({"template": True}, Refusal.TEMPLATE, "template"),
        ({"connected": False}, Refusal.NOT_CONNECTED, "does not answer"),
        ({"managed_by": "com.vmware.vcls"}, Refusal.MANAGED, "com.vmware.vcls"),
        ({"fault_tolerance": True}, Refusal.FAULT_TOLERANCE, "Fault Tolerance"),
        ({"disks": ()}, Refusal.NO_DISK, "no disk"),
        ({"disks": (DISK, replace(DISK, physical_rdm=True))}, Refusal.PHYSICAL_RDM, "[ds] a/a.vmdk"),
        (
            {"disks": (replace(DISK, mode="independent_nonpersistent"),)},
            Refusal.INDEPENDENT_DISK,
            "nonpersistent",
        ),
        ({"disks": (replace(DISK, sharing=True),)}, Refusal.SHARED_DISK, "Hard disk 1"),
        ({"consolidation_needed": True}, Refusal.CONSOLIDATION_NEEDED, "consolidation"),
        ({"depth": 8}, Refusal.CHAIN_TOO_DEEP, "8 snapshots; the limit is 8"),
        (
            {"datastores": (STORE, replace(STORE, free=9))},
            Refusal.DATASTORE_FULL,
            "9.0% free; the limit is 10%",
        ),
        ({"datastores": (replace(STORE, accessible=False),)}, Refusal.NOT_CONNECTED, "datastore ds"),
    ],
)
def test_each_danger_is_a_reason(change: dict[str, object], reason: Refusal, detail: str) -> None:
    found = refusal(replace(GOOD, **change), SnapshotLimits(depth=8, free_fraction=0.1))  # type: ignore[arg-type]
    assert found is not None
    assert found[0] is reason
    assert detail in found[1]
