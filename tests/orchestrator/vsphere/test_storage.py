"""Which of the datastores that vCenter lists as a VM's take what it writes while its snapshot is open."""

from __future__ import annotations

import pytest
from pyVmomi import vim

from orchestrator.vsphere.properties import Row
from orchestrator.vsphere.storage import written
from orchestrator.vsphere.values import DiskDevice

LISTED = ("fast", "iso [library]", "slow", "temporary")


def of(home: str, working: str, *files: str, listed: tuple[str, ...] = LISTED) -> tuple[str, ...]:
    values = {"config.files.vmPathName": home, "config.files.snapshotDirectory": working}
    row = Row(vim.VirtualMachine, "vm-1", {path: value for path, value in values.items() if value})
    disks = [DiskDevice(key, "disk", 1, file, "persistent") for key, file in enumerate(files)]
    return written(listed, row, disks)


@pytest.mark.parametrize(
    ("home", "working", "files", "expected"),
    [
        ("[fast] vm/vm.vmx", "[fast] vm/", ("[fast] vm/vm.vmdk",), ("fast",)),
        ("[fast] vm/vm.vmx", "[fast] vm/", ("[slow] vm/vm-000001.vmdk",), ("fast", "slow")),
        ("[fast] vm/vm.vmx", "[temporary] vm/", ("[fast] vm/vm.vmdk",), ("fast", "temporary")),
        ("[fast] vm/vm.vmx", "", ("",), ("fast",)),
    ],
    ids=["one", "disk elsewhere", "working directory elsewhere", "raw device"],
)
def test_those_that_files_of_it_are_on(
    home: str, working: str, files: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    assert of(home, working, *files) == expected


def test_a_parents_datastore_is_only_read() -> None:
    clone = DiskDevice(2000, "disk", 1, "[fast] vm/vm.vmdk", "persistent", parents=("[slow] golden/g.vmdk",))
    assert written(LISTED, Row(vim.VirtualMachine, "vm-1", {}), [clone]) == ("fast",)


def test_all_where_that_cannot_be_told() -> None:
    assert of("", "") == LISTED, "an inaccessible VM"
    unreadable = ("fast", "datastore-17")
    assert of("[fast] vm/vm.vmx", "", "[secret] vm/vm.vmdk", listed=unreadable) == unreadable


def test_names_are_as_people_see_them() -> None:
    assert of("[a%2fb] vm/vm.vmx", "", listed=("a/b", "c")) == ("a/b",)
