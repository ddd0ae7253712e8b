"""From the names of an fstab to the volumes of a guest's disks."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

from converters.filesystems.fstab import Line
from converters.filesystems.guestfs import ApplianceDevice
from converters.volumes.base import Volume

RAID = "linux_raid_member"
ASSEMBLED = ("LVM2_member", RAID)
"""Members of volumes that the appliance assembles, all or those that are not read as they lie."""

_DISK = re.compile(r"/dev/(?:sd|vd|xvd|hd)([a-z])(\d*)|/dev/nvme(\d+)n1(?:p(\d+))?")
_BY_TAG = {"by-uuid": "UUID", "by-label": "LABEL", "by-partuuid": "PARTUUID", "by-partlabel": "PARTLABEL"}
_UDEV_ESCAPE = re.compile(r"\\x([0-9a-fA-F]{2})")


def is_device(line: Line) -> bool:
    """Whether the source of an entry is a block device, by tag or by path."""
    return line.tag[0] != "" or line.source.startswith("/dev/")


def find_volumes(line: Line, volumes: Sequence[Volume]) -> list[Volume]:
    """The volumes that the source of an entry names; more than one when a disk is another's copy."""
    name, value = line.tag
    if not name and line.source.startswith("/dev/disk/"):
        folder, _, value = line.source.removeprefix("/dev/disk/").partition("/")
        name, value = _BY_TAG.get(folder, ""), _UDEV_ESCAPE.sub(lambda match: chr(int(match[1], 16)), value)
    match name:
        case "UUID":
            return [volume for volume in volumes if _same(volume.content.uuid, value)]
        case "LABEL":
            return [volume for volume in volumes if value and volume.content.label == value]
        case "PARTUUID":
            return [volume for volume in volumes if _same(volume.partition_uuid, value)]
        case "PARTLABEL":
            return [volume for volume in volumes if value and volume.partition_label == value]
    logical = [volume for volume in volumes if volume.name and line.source in _names(volume.name)]
    return logical or _by_kernel_name(line.source, volumes)


def find_devices(line: Line, devices: Sequence[ApplianceDevice]) -> list[ApplianceDevice]:
    """The logical volumes that the source of an entry names."""
    match line.tag:
        case "UUID", value:
            found = [device for device in devices if _same(device.content.uuid, value)]
        case "LABEL", value:
            found = [device for device in devices if value and device.content.label == value]
        case _:
            found = [device for device in devices if line.source in _names(device.name)]
    # A subvolume shares its file system's UUID; options choose it, so the whole is what is meant.
    return [device for device in found if not device.name.startswith("btrfsvol:")] or found


def mapper_name(name: str) -> str:
    """``/dev/vg-a/b-c`` as the device mapper has it: ``/dev/mapper/vg--a-b--c`` (lvm(8), VALID NAMES)."""
    group, _, volume = name.removeprefix("/dev/").partition("/")
    return f"/dev/mapper/{group.replace('-', '--')}-{volume.replace('-', '--')}"


def _names(name: str) -> tuple[str, ...]:
    """All paths of a logical volume's device (``/dev/GROUP/VOLUME``)."""
    mapper = mapper_name(name)
    return name, mapper, mapper.replace("/dev/mapper/", "/dev/disk/by-id/dm-name-")


def _by_kernel_name(source: str, volumes: Sequence[Volume]) -> list[Volume]:
    """``/dev/sdb1`` is partition 1 of the second disk, as the disks are given in the guest's order."""
    match = _DISK.fullmatch(source)
    if match is None:
        return []
    letter, number, controller, partition = match.groups()
    disk = string.ascii_lowercase.index(letter) if letter else int(controller)
    wanted = int(number or partition or 0)
    return [volume for volume in volumes if (volume.disk, volume.number, volume.name) == (disk, wanted, "")]


def _same(one: str, other: str) -> bool:
    return bool(other) and one.lower() == other.lower()
