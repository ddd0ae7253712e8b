from __future__ import annotations

from typing import Any

import pytest
from pyVmomi import vim

from orchestrator.vsphere.devices import disks, places
from orchestrator.vsphere.values import DiskDevice

Disk = vim.vm.device.VirtualDisk
Sharing = vim.vm.device.VirtualSCSIController.Sharing


def disk(backing: Any, key: int = 2000, controller: int = 1000, unit: int = 0) -> Any:
    return Disk(
        key=key,
        controllerKey=controller,
        unitNumber=unit,
        backing=backing,
        capacityInKB=1024,
        capacityInBytes=1048576,
        deviceInfo=vim.Description(label="Hard disk 1", summary=""),
    )


def scsi(sharing: str = "noSharing") -> Any:
    return vim.vm.device.ParaVirtualSCSIController(key=1000, busNumber=0, sharedBus=sharing)


def read(backing: Any, sharing: str = "noSharing") -> DiskDevice:
    (found,) = disks([scsi(sharing), disk(backing)])
    return found


def test_a_flat_disk() -> None:
    found = read(Disk.FlatVer2BackingInfo(fileName="[ds] vm/vm.vmdk", diskMode="persistent"))
    assert found == DiskDevice(2000, "Hard disk 1", 1048576, "[ds] vm/vm.vmdk", "persistent")


def test_a_chain_is_known_to_its_base() -> None:
    base = Disk.FlatVer2BackingInfo(fileName="[ds] golden/golden.vmdk")
    middle = Disk.FlatVer2BackingInfo(fileName="[ds] golden/golden-000001.vmdk", parent=base)
    found = read(Disk.FlatVer2BackingInfo(fileName="[ds] vm/vm.vmdk", diskMode="persistent", parent=middle))
    assert found.parents == ("[ds] golden/golden-000001.vmdk", "[ds] golden/golden.vmdk")


def test_a_space_efficient_disk() -> None:
    found = read(Disk.SeSparseBackingInfo(fileName="[ds] vm/vm.vmdk", diskMode="independent_nonpersistent"))
    assert (found.mode, found.physical_rdm, found.sharing) == ("independent_nonpersistent", False, False)


@pytest.mark.parametrize(("mode", "physical"), [("physicalMode", True), ("virtualMode", False)])
def test_raw_device_mappings(mode: str, physical: bool) -> None:
    backing = Disk.RawDiskMappingVer1BackingInfo(
        fileName="[ds] vm/rdm.vmdk", compatibilityMode=mode, diskMode="persistent", deviceName="vml.01"
    )
    assert read(backing).physical_rdm is physical


def test_a_raw_device_without_mapping() -> None:
    found = read(Disk.RawDiskVer2BackingInfo(deviceName="/dev/sda", descriptorFileName="x.vmdk"))
    assert (found.physical_rdm, found.file, found.mode) == (True, "", "persistent")


def test_sharing_by_multi_writer_and_by_the_bus() -> None:
    plain = Disk.FlatVer2BackingInfo(fileName="[ds] a.vmdk", diskMode="persistent")
    multi = Disk.FlatVer2BackingInfo(
        fileName="[ds] a.vmdk", diskMode="persistent", sharing="sharingMultiWriter"
    )
    assert read(multi).sharing
    assert read(plain, Sharing.physicalSharing).sharing
    assert read(plain, Sharing.virtualSharing).sharing
    assert not read(plain).sharing


def test_old_hosts_tell_the_capacity_in_kib_alone() -> None:
    device = disk(Disk.FlatVer2BackingInfo(fileName="[ds] a.vmdk", diskMode="persistent"))
    device.capacityInBytes = None
    assert disks([device])[0].capacity == 1048576


def test_places_are_what_device_urls_end_with() -> None:
    backing = Disk.FlatVer2BackingInfo(fileName="[ds] a.vmdk", diskMode="persistent")
    lsi = vim.vm.device.VirtualLsiLogicController(key=1001, busNumber=1)
    found = places([scsi(), lsi, disk(backing, 2000), disk(backing, 2016, 1001, 3)])
    assert found == {"ParaVirtualSCSIController0:0": 2000, "VirtualLsiLogicController1:3": 2016}
