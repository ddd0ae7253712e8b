"""What is told of disks that are not in an image."""

from __future__ import annotations

from converters.absent import notes
from converters.disks import AbsentDisk, RawFile
from converters.guest.facts import UnreadMount

DISK = AbsentDisk("/scratch/disk-1.absent", "Hard disk 2 [ds] vm/vm_1.vmdk", 2 << 40)


def test_a_volume_to_attach_is_named_with_its_place() -> None:
    first, second = notes([RawFile("/scratch/disk-0.raw"), DISK], [UnreadMount("/srv", "UUID=5-1")])
    assert first.startswith("Hard disk 2 [ds] vm/vm_1.vmdk (2048.0 GiB) was left out: its data is not in the")
    assert second == "Volume to attach: UUID=5-1, mounted at /srv in the machine."


def test_a_mount_without_a_disk_is_no_volume_that_was_left_out() -> None:
    assert notes([RawFile("/scratch/disk-0.raw")], [UnreadMount("/srv", "UUID=5-1")]) == ()
