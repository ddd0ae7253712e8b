"""What is told of VMs that convert, and which of their disks are not downloaded."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pyVmomi import vim

from orchestrator.cli.run import run_config
from orchestrator.fleet.assess import assess
from orchestrator.fleet.plan import PlannedVm, candidate, plan_vm
from orchestrator.fleet.remarks import left_out, remarks
from orchestrator.settings import Settings
from orchestrator.vsphere.backups import BackupSnapshot
from orchestrator.vsphere.inventory import Surroundings
from orchestrator.vsphere.properties import Row
from orchestrator.vsphere.values import VirtualMachine
from tests.orchestrator.fleet.vms import DISK, make_vm

GIB = 1 << 30
DATA = replace(DISK, key=2001, label="Hard disk 2", file="[ds1] vm/vm_1.vmdk", capacity=2048 * GIB)
SMALL = replace(DISK, key=2002, label="Hard disk 3", capacity=GIB)


@pytest.mark.parametrize(
    ("gib", "keys"), [(None, []), (2048, []), (2047.5, [2001]), (1, [2001]), (0, [2001, 2002])]
)
def test_data_disks_above_the_limit_are_left_out_and_the_first_never(
    gib: float | None, keys: list[int]
) -> None:
    limit = run_config(Settings(registry="r:5000/x", largest_data_disk=gib)).largest_data_disk
    huge = replace(DISK, capacity=9999 * GIB)
    assert [disk.key for disk in left_out((huge, DATA, SMALL), limit)] == keys


def planned(vm: VirtualMachine, largest: int | None = None) -> PlannedVm:
    return plan_vm(assess(vm), "job", "r/web", "settings", lambda job: None, False, largest)


def test_what_is_left_out_is_told_and_takes_no_budget() -> None:
    found = planned(make_vm(disks=(DISK, DATA, SMALL)), GIB)
    assert found.left_out == (DATA,)
    assert found.reason == "Hard disk 2 (2048.0 GiB) is left out: attach its data"
    assert found.view(0.0).reason == found.reason
    assert candidate(found, {}).disks == 2


def test_a_linked_clone_is_told_from_a_vm_with_snapshots() -> None:
    chain = ("[ds1] golden/golden-000001.vmdk", "[ds1] golden/golden.vmdk")
    clone = make_vm(disks=(replace(DISK, parents=chain),))
    said = (
        "Hard disk 1 is a linked clone of [ds1] golden/golden.vmdk, shared with others: the image holds all"
    )
    assert remarks(clone, ()) == (said,)
    assert planned(clone).converts
    assert remarks(replace(clone, snapshots=("a", "b")), ()) == ()
    assert len(remarks(replace(clone, snapshots=("a",)), ())) == 1


def test_consolidation_that_vcenter_keeps_to_itself_is_told() -> None:
    row = Row(
        vim.VirtualMachine, "vm-7", {"name": "web"}, {"runtime.consolidationNeeded": vim.fault.NoPermission()}
    )
    found = Surroundings({}, "DC0", []).vm(row)
    assert found.consolidation_needed is None
    (said,) = remarks(found, ())
    assert "does not tell this account" in said
    assert remarks(make_vm(), ()) == ()


def test_a_backup_is_told_beforehand() -> None:
    vm = make_vm(snapshots=("NBU_SNAPSHOT x",), backup=BackupSnapshot("NetBackup", "NBU_SNAPSHOT x", 0.0))
    (said,) = remarks(vm, ())
    assert said.startswith("NetBackup has its snapshot 'NBU_SNAPSHOT x' on it since 1970-01-01 00:00 UTC")
    assert planned(vm).converts
