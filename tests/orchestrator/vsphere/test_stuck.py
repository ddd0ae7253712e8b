"""What a person is told of a snapshot that stays."""

from __future__ import annotations

from pyVmomi import vim

from orchestrator.vsphere.stuck import Stuck, written_since

Layout = vim.vm.FileLayoutEx


def chain(*units: int) -> list[Layout.DiskUnit]:
    return [Layout.DiskUnit(fileKey=[key]) for key in units]


LAYOUT = Layout(
    file=[
        Layout.FileInfo(key=key, name=f"[ds {key}] web/{key}.vmdk", type="diskExtent", size=key * 1000)
        for key in range(5)
    ],
    disk=[Layout.DiskLayout(key=2000, chain=chain(0, 1, 2)), Layout.DiskLayout(key=2001, chain=chain(3, 4))],
    snapshot=[
        Layout.SnapshotLayout(
            key=vim.vm.Snapshot("snapshot-1"),
            dataKey=9,
            disk=[
                Layout.DiskLayout(key=2000, chain=chain(0)),
                Layout.DiskLayout(key=2001, chain=chain(3)),
            ],
        )
    ],
)


def test_what_a_vm_wrote_since_its_snapshot_is_in_the_files_on_top() -> None:
    assert [file.size for file in written_since(LAYOUT, "snapshot-1")] == [1000, 2000, 4000]
    assert written_since(LAYOUT, "snapshot-2") == []
    assert written_since(None, "snapshot-1") == []


def test_a_snapshot_that_stays_is_told_with_age_place_and_growth() -> None:
    stays = Stuck("web", "vm-7", "orchestrate-4f", 5400.0, 3 << 30, ("fast", "slow"))
    assert stays.told == (
        "; it has been open for 90 minutes on fast, slow, where its files have grown to 3,072 MiB"
    )
    assert stays.advice.startswith(
        "in the vSphere client, on the VM web (vm-7): Snapshots > Manage Snapshots"
    )
    assert Stuck("web", "vm-7", "orchestrate-4f", 5400.0).told == "; it has been open for 90 minutes"


def test_disks_that_need_consolidation_are_told_otherwise() -> None:
    gone = Stuck("web", "vm-7", "orchestrate-4f", datastores=("fast",))
    assert gone.told == "; its files are on fast"
    assert gone.advice == "in the vSphere client, on the VM web (vm-7): Snapshots > Consolidate"
    assert Stuck("web", "vm-7", "orchestrate-4f").told == ""
