"""What a volume holds, by the signatures in it."""

from __future__ import annotations

from collections.abc import Callable

from converters.disks.base import Disk
from converters.volumes import fat, filesystems, members
from converters.volumes.base import Content
from converters.volumes.window import Window

_PROBES: tuple[Callable[[Window], Content | None], ...] = (
    # Containers first: what they hold often shows through, as a RAID 1 member's file system does.
    members.linux_raid,
    members.bcache,
    members.lvm,
    members.luks,
    members.vmfs_volume,
    fat.vfat,
    members.swap,
    filesystems.xfs,
    filesystems.xfs_log,
    filesystems.ext,
    filesystems.reiserfs,
    filesystems.jfs,
    filesystems.iso9660,
    filesystems.ntfs,
    filesystems.exfat,
    filesystems.squashfs,
    filesystems.btrfs,
    filesystems.vmfs,
    filesystems.f2fs,
    members.luks_second,
)
"""In the order of libblkid, which matters where a newer format left an older one's signature in place."""

NOTHING = Content("")


def probe(disk: Disk, start: int, size: int) -> Content:
    """What the ``size`` bytes of ``disk`` from ``start`` hold; an empty type where nothing is recognised.

    Raises:
        DiskError: the bytes cannot be read.
    """
    window = Window(disk, start, size)
    for signature in _PROBES:
        if (content := signature(window)) is not None:
            return content
    return NOTHING
