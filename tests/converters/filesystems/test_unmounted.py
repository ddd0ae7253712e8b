"""Volumes that nothing mounts, and what each mounted one is for."""

from __future__ import annotations

import pytest

from converters.filesystems.roles import role_of
from converters.filesystems.unmounted import unmounted
from converters.guest.facts import MountPoint, UnmountedVolume
from converters.volumes.base import Content, Volume

GIB = 1 << 30


def volume(number: int, type: str, size: int = GIB, partition_type: str = "", label: str = "") -> Volume:
    return Volume(
        0, number * GIB, size, number, Content(type, f"u-{type}", label), partition_type=partition_type
    )


def test_what_holds_files_and_is_mounted_nowhere() -> None:
    """Neither swap, nor members of what is assembled from them, nor what firmware starts from."""
    root, data, disks = (
        volume(1, "ext4"),
        volume(2, "xfs", label="old data"),
        [volume(3, "btrfs"), volume(4, "btrfs")],
    )
    raw = volume(5, "", 10 << 40)
    others = [
        volume(6, "swap"),
        volume(7, "LVM2_member"),
        volume(8, "linux_raid_member"),
        volume(9, "vfat", partition_type="c12a7328-f81f-11d2-ba4b-00a0c93ec93b"),
        volume(10, "", 1 << 20, "21686148-6449-6e6f-744e-656564454649"),
        volume(11, "jbd"),
        volume(14, "", 8 << 20),
    ]
    skipped, tiny = volume(12, "ext4"), volume(13, "ntfs", 700)
    mounts = [
        MountPoint("/", "disk 0 partition 1", "ext4", "ext2fs", recovered=False),
        MountPoint("/srv", "disk 0 partition 3", "btrfs", "btrfs", recovered=False),
    ]
    facts, notes = unmounted(
        [root, data, *disks, raw, *others, skipped, tiny], mounts, {root, disks[0], skipped}
    )
    assert facts == (
        UnmountedVolume("disk 0 partition 2", "xfs", "u-xfs", "old data", GIB),
        UnmountedVolume("disk 0 partition 5", "", "u-", "", 10 << 40),
        UnmountedVolume("disk 0 partition 12", "ext4", "u-ext4", "", GIB),
        UnmountedVolume("disk 0 partition 13", "ntfs", "u-ntfs", "", 700),
    )
    assert notes == [
        "disk 0 partition 2 (xfs, label old data, 1.0 GiB) is mounted nowhere at boot, so it is not read.",
        "disk 0 partition 5 (nothing that is known, 10.0 TiB) is mounted nowhere at boot, so it is not read.",
        "disk 0 partition 13 (ntfs, 700 bytes) is mounted nowhere at boot, so it is not read.",
    ]


@pytest.mark.parametrize(
    ("paths", "role"),
    [
        (
            "/ /usr /usr/local /usr/share/x /boot /boot/efi /efi /etc /var /var/log /var/log/audit /tmp",
            "system",
        ),
        (
            "/var/tmp /var/cache/apt /var/lib /opt /root /.snapshots /var/spool /lib /lib64 /var/crash",
            "system",
        ),
        ("/home /srv /data /mnt/x /var/lib/mysql /var/www /opt/oracle /u01 /usrdata /bootstrap", "data"),
        ("/var/lib/docker /var/mail /export /etcd /librarian/x /run1", "data"),
    ],
)
def test_roles_by_mount_point(paths: str, role: str) -> None:
    assert {path: role_of(path) for path in paths.split()} == dict.fromkeys(paths.split(), role)
