"""Names in an fstab against volumes."""

from __future__ import annotations

import pytest

from converters.filesystems.fstab import Line
from converters.filesystems.guestfs import ApplianceDevice
from converters.filesystems.places import find_devices, find_volumes, hardware, is_device, mapper_name
from converters.volumes.base import Content, Volume

UUID = "86b319d7-28c1-4aef-a3b5-1f7a0e1b2c3d"
ROOT = Volume(0, 1 << 20, 1 << 30, 1, Content("ext4", UUID, "root"), "8d1e6f60-01", "0x83", "")
DATA = Volume(1, 1 << 20, 1 << 30, 12, Content("xfs", "ABCD-0123", "my data"), "77aa-bb", "", "Data part")
WHOLE = Volume(2, 0, 1 << 30, 0, Content("ext4", "0000", ""))
LOGICAL = Volume(0, 1 << 30, 1 << 30, 0, Content("ext4", "9-9", "für"), name="/dev/vg-a/b-c")
FAR = Volume(26, 1 << 20, 1 << 30, 1, Content("ext4", "7-7", ""))
VOLUMES = (ROOT, DATA, WHOLE, LOGICAL)


def _line(source: str) -> Line:
    return Line(source, "/mnt", "auto", ("defaults",))


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (f"UUID={UUID.upper()}", [ROOT]),
        ("UUID=abcd-0123", [DATA]),
        ("UUID=", []),
        ("LABEL=root", [ROOT]),
        ("LABEL=ROOT", []),
        ("LABEL=", []),
        ("PARTUUID=8D1E6F60-01", [ROOT]),
        ("PARTLABEL=Data part", [DATA]),
        (f"/dev/disk/by-uuid/{UUID}", [ROOT]),
        (r"/dev/disk/by-label/my\x20data", [DATA]),
        ("/dev/disk/by-partuuid/77aa-bb", [DATA]),
        (r"/dev/disk/by-partlabel/Data\x20part", [DATA]),
        ("/dev/disk/by-id/scsi-1234-part1", [ROOT]),
        ("/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:1:0-part12", [DATA]),
        ("/dev/disk/by-id/wwn-0x6000c29", [WHOLE]),
        ("ID=scsi-1234-part1", [ROOT]),
        ("ID=dm-name-vg--a-b--c", [LOGICAL]),
        ("/dev/disk/by-id/dm-name-vg--a-b--c", [LOGICAL]),
        ("/dev/disk/by-id/dm-uuid-LVM-abc-part1", []),
        (r"/dev/disk/by-label/f\xc3\xbcr", [LOGICAL]),
        ("LABEL=für", [LOGICAL]),
        ("/dev/vg-a/b-c", [LOGICAL]),
        ("/dev/mapper/vg--a-b--c", [LOGICAL]),
        ("/dev/mapper/vg-a-b-c", []),
        ("/dev/hda1", [ROOT]),
        ("/dev/sdaa1", [FAR]),
        ("/dev/nvme0n1p1", [ROOT]),
        ("/dev/nvme0n2p12", [DATA]),
        ("/dev/nvme1n1p12", [DATA]),
        ("/dev/sda0x1", []),
        ("/dev/sd٣1", []),
        ("/dev/sda1", [ROOT]),
        ("/dev/vdb12", [DATA]),
        ("/dev/xvdc", [WHOLE]),
        ("/dev/nvme0n1p1", [ROOT]),
        ("/dev/nvme2n1", [WHOLE]),
        ("/dev/sda2", []),
        ("/dev/mapper/vg-root", []),
    ],
)
def test_volumes_by_name(source: str, found: list[Volume]) -> None:
    volumes = (*VOLUMES, FAR) if "sdaa" in source else VOLUMES
    assert find_volumes(_line(source), volumes) == found


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("/dev/disk/by-id/scsi-36000c29-part2", "scsi-36000c29"),
        ("/dev/disk/by-id/scsi-36000c29", "scsi-36000c29"),
        ("ID=ata-VMware_Virtual_SATA_Hard_Drive_0001-part1", "ata-VMware_Virtual_SATA_Hard_Drive_0001"),
        ("/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:1:0-part1", "pci-0000:03:00.0-scsi-0:0:1:0"),
        ("/dev/disk/by-id/dm-name-vg-root", ""),
        ("/dev/disk/by-id/md-uuid-1:2:3:4", ""),
        ("/dev/disk/by-uuid/1234", ""),
        ("/dev/sda1", ""),
    ],
)
def test_names_that_come_from_hardware(source: str, name: str) -> None:
    assert hardware(_line(source)) == name


def test_copy_of_a_disk_is_found_too() -> None:
    copy = Volume(3, 1 << 20, 1 << 30, 1, ROOT.content)
    assert find_volumes(_line(f"UUID={UUID}"), (*VOLUMES, copy)) == [ROOT, copy]


def test_what_is_a_device() -> None:
    assert [is_device(_line(source)) for source in ("LABEL=x", "/dev/sda1", "tmpfs", "a:/b", "/srv/x")] == [
        True,
        True,
        False,
        False,
        False,
    ]


def test_dashes_in_names_of_logical_volumes_are_doubled() -> None:
    assert mapper_name("/dev/vg-a/b-c") == "/dev/mapper/vg--a-b--c"


def test_logical_volumes_by_every_name() -> None:
    volume = ApplianceDevice("/dev/vg-a/b-c", Content("ext4", UUID, "logical"))
    whole = ApplianceDevice("/dev/vg-a/pool", Content("btrfs", "1234", ""))
    part = ApplianceDevice("btrfsvol:/dev/vg-a/pool/@", Content("btrfs", "1234", ""))
    devices = (volume, part, whole)
    for source in ("/dev/mapper/vg--a-b--c", "/dev/vg-a/b-c", f"UUID={UUID}", "LABEL=logical"):
        assert find_devices(_line(source), devices) == [volume]
    assert find_devices(_line("UUID=1234"), devices) == [whole]
    assert find_devices(_line("/dev/mapper/vg-a-b-c"), devices) == []
    assert find_devices(_line("LABEL="), devices) == []
