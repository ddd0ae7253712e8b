"""Values for the places on a guest's disks that can hold a file system."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Content:
    """What the first bytes of a volume say it holds (blkid(8)'s words)."""

    type: str
    """``ext2``, ``ext3``, ``ext4``, ``xfs``, ``btrfs``, ``vfat``, ``swap``, ``LVM2_member``, ``crypto_LUKS``,
    ``linux_raid_member``, ``ntfs``…; empty when nothing is recognised."""
    uuid: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class Left:
    """A volume that is not assembled in process; another engine may make something of it."""

    name: str
    """Path of its device; empty where it is not known."""
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}" if self.name else self.reason


@dataclass(frozen=True, slots=True)
class Volume:
    """A range of bytes of one disk of a guest: the whole disk, a partition, or a logical volume."""

    disk: int
    """Index of the disk in the guest, from 0."""
    start: int
    """Bytes from the start of the disk."""
    size: int
    """Bytes."""
    number: int
    """Partition number; 0 for a disk without partition table, and for a logical volume."""
    content: Content
    partition_uuid: str = ""
    """As in ``/dev/disk/by-partuuid``."""
    partition_type: str = ""
    """GPT type GUID in lower case, or the MBR type as ``0x83``."""
    partition_label: str = ""
    name: str = ""
    """Path of a logical volume's device, ``/dev/GROUP/VOLUME``; empty for all others."""
    partition_flags: int = 0
    """GPT attribute bits (UEFI specification 2.10, table 5.8); 0 for all other volumes."""
