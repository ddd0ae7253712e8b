"""From the names of an fstab to the volumes of a guest's disks."""

from __future__ import annotations

import re
from collections.abc import Sequence

from converters.filesystems.fstab import Line
from converters.filesystems.guestfs import ApplianceDevice
from converters.volumes.base import Volume

RAID = "linux_raid_member"
ASSEMBLED = ("LVM2_member", RAID)
"""Members of volumes that the appliance assembles, all or those that are not read as they lie."""

_DISK = re.compile(
    r"/dev/(?:sd|vd|xvd|hd)([a-z]{1,3})(\d{0,9})|/dev/nvme(\d{1,9})n(\d{1,9})(?:p(\d{1,9}))?", re.ASCII
)
_HARDWARE = re.compile(
    r"/dev/disk/by-(?:id|path)/(?!dm-|md-|lvm-)(.+?)(?:-part(\d{1,9}))?", re.ASCII | re.DOTALL
)
_BY_TAG = {"by-uuid": "UUID", "by-label": "LABEL", "by-partuuid": "PARTUUID", "by-partlabel": "PARTLABEL"}
_UDEV_ESCAPE = re.compile(r"\\x([0-9a-fA-F]{2})")


def is_device(line: Line) -> bool:
    """Whether the source of an entry is a block device, by tag or by path."""
    return line.tag[0] != "" or line.source.startswith("/dev/")


def find_volumes(line: Line, volumes: Sequence[Volume]) -> list[Volume]:
    """The volumes that the source of an entry names; more than one when a disk is another's copy.

    A name that comes from the hardware (``hardware``) is on no disk: every volume of its number is found.
    """
    name, value = line.tag
    source = f"/dev/disk/by-id/{value}" if name == "ID" else line.source
    if not name and source.startswith("/dev/disk/"):
        folder, _, value = source.removeprefix("/dev/disk/").partition("/")
        name, value = _BY_TAG.get(folder, ""), _unescape(value)
    match name:
        case "UUID":
            return [volume for volume in volumes if _same(volume.content.uuid, value)]
        case "LABEL":
            return [volume for volume in volumes if value and volume.content.label == value]
        case "PARTUUID":
            return [volume for volume in volumes if _same(volume.partition_uuid, value)]
        case "PARTLABEL":
            return [volume for volume in volumes if value and volume.partition_label == value]
    logical = [volume for volume in volumes if volume.name and source in _names(volume.name)]
    return logical or _by_kernel_name(source, volumes) or _by_hardware(source, volumes)


def hardware(line: Line) -> str:
    """Which disk the source of an entry means, by what its controller or its maker calls it.

    ``scsi-36000c29…`` of ``/dev/disk/by-id/scsi-36000c29…-part2``, which udev makes from the disk's serial
    number, and ``pci-…`` of ``by-path``. Empty for other sources.
    """
    name, value = line.tag
    match = _HARDWARE.fullmatch(f"/dev/disk/by-id/{value}" if name == "ID" else line.source)
    return match[1] if match else ""


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
    """``/dev/sdb1`` is partition 1 of the second disk, as the disks are given in the guest's order.

    The prefix does not count: what was ``hda`` or ``xvda`` elsewhere is ``sda`` on VMware's controllers.
    Of NVMe, either controllers or the name spaces of one are counted: no guest that we know has both.
    """
    match = _DISK.fullmatch(source)
    if match is None:
        return []
    letters, number, controller, space, partition = match.groups()
    disk = _letters(letters) if letters else int(controller) + int(space) - 1
    return _numbered(volumes, int(number or partition or 0), disk)


def _by_hardware(source: str, volumes: Sequence[Volume]) -> list[Volume]:
    match = _HARDWARE.fullmatch(source)
    return _numbered(volumes, int(match[2] or 0)) if match else []


def _numbered(volumes: Sequence[Volume], number: int, disk: int | None = None) -> list[Volume]:
    """Volumes with this partition number, of one disk or of all."""
    return [
        volume
        for volume in volumes
        if volume.number == number and not volume.name and disk in (None, volume.disk)
    ]


def _letters(text: str) -> int:
    """``a`` is 0, ``z`` 25, ``aa`` 26 (``sd_format_disk_name`` of the kernel)."""
    index = 0
    for letter in text:
        index = index * 26 + ord(letter) - ord("a") + 1
    return index - 1


def _unescape(name: str) -> str:
    """A name in /dev/disk as it was before udev escaped it: ``\\x20`` is a space."""
    raw = _UDEV_ESCAPE.sub(lambda match: chr(int(match[1], 16)), name)
    try:
        return raw.encode("latin-1").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:
        return raw


def _same(one: str, other: str) -> bool:
    return bool(other) and one.lower() == other.lower()
