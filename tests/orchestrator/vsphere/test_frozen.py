"""A snapshot holds a VM's disks when the VM writes elsewhere."""

from __future__ import annotations

from pyVmomi import vim

from orchestrator.vsphere.frozen import loose

_Disk = vim.vm.device.VirtualDisk


def disk(key: int, file: str, storage_object: str | None = None) -> _Disk:
    backing = _Disk.FlatVer2BackingInfo(fileName=file, diskMode="persistent", backingObjectId=storage_object)
    label = vim.Description(label=f"Hard disk {key}", summary="")
    return _Disk(key=key, backing=backing, deviceInfo=label)


def test_disks_that_go_on_in_another_file_are_held() -> None:
    assert loose([disk(1, "a-000001.vmdk"), disk(2, "b-000001.vmdk")], [disk(1, "a"), disk(2, "b")]) == ""


def test_storage_with_snapshots_of_its_own_may_keep_the_name() -> None:
    assert loose([disk(1, "a", "object-2")], [disk(1, "a", "object-1")]) == ""


def test_a_disk_that_was_added_meanwhile_is_not_held() -> None:
    assert loose([disk(1, "a-000001"), disk(2, "b")], [disk(1, "a")]) == "Hard disk 2 is not in it"


def test_a_disk_that_the_vm_still_writes_to_is_not_held() -> None:
    found = loose([disk(1, "[ds] a.vmdk")], [disk(1, "[ds] a.vmdk")])
    assert found == "the VM goes on to write to Hard disk 1, [ds] a.vmdk, that it should hold"


def test_other_devices_do_not_matter() -> None:
    card = vim.vm.device.VirtualVmxnet3(key=4000)
    assert loose([card, disk(1, "a-000001")], [card, disk(1, "a")]) == ""
