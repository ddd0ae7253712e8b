"""LVM2: volume groups of a guest's disks, and where their logical volumes lie."""

from converters.volumes.lvm.groups import MEMBER, Assembled, LogicalVolume, logical_volumes

__all__ = ["MEMBER", "Assembled", "LogicalVolume", "logical_volumes"]
