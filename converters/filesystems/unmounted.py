"""Volumes of a guest's disks that it mounts nowhere: told, as what they hold is in no image."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from converters.filesystems.crypttab import opened_name
from converters.filesystems.place import Place, describe
from converters.filesystems.places import ASSEMBLED
from converters.guest.facts import MountPoint, UnmountedVolume
from converters.volumes.base import Volume

_MACHINERY = (*ASSEMBLED, "swap", "swsuspend", "jbd", "xfs_external_log")
"""Contents that hold no files by themselves."""
_FIRMWARE = (
    "21686148-6449-6e6f-744e-656564454649",
    "9e1a2d38-c612-4316-aa26-8b49521e5a8b",
    "c12a7328-f81f-11d2-ba4b-00a0c93ec93b",
    "e3c9e316-0b5c-4db8-817d-f92df00215ae",
    "0x41",
    "0xef",
)
"""Partition types: GRUB's own, PReP, EFI system, Microsoft's reserved one; PReP and EFI in an MBR."""
_TINY = 8 << 20
_UNITS = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def unmounted(
    volumes: Sequence[Volume], mounts: Sequence[MountPoint], named: Collection[Place]
) -> tuple[tuple[UnmountedVolume, ...], list[str]]:
    """The volumes that are not among ``mounts``, and a sentence on each that nothing names either.

    Args:
        named: volumes that a mount names, read or not: these were told of.
    """
    devices = {point.device for point in mounts}
    # A btrfs on several devices has one UUID on all of them.
    pools = {place.content for place in named if place.content.type == "btrfs"}
    opened = {volume.name for volume in volumes}
    idle = [
        volume
        for volume in volumes
        if _holds_files(volume)
        and describe(volume) not in devices
        and volume.content not in pools
        and opened_name(volume.content.uuid) not in opened
    ]
    notes = [
        f"{_in_words(volume)} is mounted nowhere at boot, so it is not read."
        for volume in idle
        if volume not in named
    ]
    return tuple(map(_fact, idle)), notes


def _holds_files(volume: Volume) -> bool:
    """Whether files can be in it. What is tiny and unknown has room for a boot loader's second stage only."""
    content = volume.content.type
    if content in _MACHINERY or volume.partition_type in _FIRMWARE:
        return False
    return bool(content) or volume.size > _TINY


def _fact(volume: Volume) -> UnmountedVolume:
    content = volume.content
    return UnmountedVolume(describe(volume), content.type, content.uuid, content.label, volume.size)


def _in_words(volume: Volume) -> str:
    holds = volume.content.type or "nothing that is known"
    label = f", label {volume.content.label}" if volume.content.label else ""
    return f"{describe(volume)} ({holds}{label}, {_size(volume.size)})"


def _size(size: int) -> str:
    for factor, unit in _UNITS:
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} bytes"
