"""The volumes of a disk: its partitions, or the disk itself."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from converters.disks.base import Disk
from converters.volumes.base import Content, Volume
from converters.volumes.foreign import SLICES, foreign_table
from converters.volumes.gpt import Gpt, has_signature, read_gpt
from converters.volumes.mbr import PROTECTIVE, SECTOR, Mbr, read_mbr
from converters.volumes.probe import probe

_BOOT_SECTOR_TYPES = frozenset({"vfat", "ntfs", "exfat", "xfs", "squashfs"})
"""What begins in a volume's first sector, where no partition table can be besides."""


class Scheme(StrEnum):
    """How a disk is divided."""

    GPT = "gpt"
    MBR = "mbr"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class VolumeTable:
    """The volumes of one disk, by partition number."""

    volumes: tuple[Volume, ...]
    scheme: Scheme
    notes: tuple[str, ...] = ()
    """What is odd about the table, each a sentence."""


def read_volumes(disk: Disk, index: int) -> VolumeTable:
    """The volumes of ``disk``, the guest's disk number ``index``, and what each holds.

    Raises:
        DiskError: the disk cannot be read.
    """
    whole = probe(disk, 0, disk.size)
    if whole.type in _BOOT_SECTOR_TYPES:
        return _undivided(disk, index, whole)
    mbr = read_mbr(disk)
    if mbr is None or mbr.protective:
        gpt = read_gpt(disk)
        if gpt is not None and (mbr is not None or not whole.type):
            return _divided_by_gpt(disk, index, gpt, mbr)
    if mbr is None:
        if not whole.type and (owner := foreign_table(disk)):
            note = f"the disk has a partition table of {owner}, which is not read"
            return _undivided(disk, index, whole, note)
        return _undivided(disk, index, whole)
    table = _divided_by_mbr(disk, index, mbr)
    if not table.volumes:
        return _undivided(disk, index, whole, *table.notes)
    if whole.type and not any(volume.content.type for volume in table.volumes):
        note = f"a partition table whose partitions hold nothing is ignored: the whole disk is {whole.type}"
        return _undivided(disk, index, whole, note, *table.notes)
    return table


def _undivided(disk: Disk, index: int, content: Content, *notes: str) -> VolumeTable:
    return VolumeTable((Volume(index, 0, disk.size, 0, content),), Scheme.NONE, notes)


def _divided_by_gpt(disk: Disk, index: int, gpt: Gpt, mbr: Mbr | None) -> VolumeTable:
    notes = []
    if gpt.backup:
        notes.append("the GUID partition table at the disk's start is damaged: the one at its end was used")
    if mbr is None:
        notes.append("the GUID partition table has no protective MBR before it")
    volumes = []
    for entry in gpt.entries:
        if (size := _within(disk, entry.number, entry.first, entry.size, notes)) is None:
            continue
        content = probe(disk, entry.first, size)
        volumes.append(
            Volume(
                index,
                entry.first,
                size,
                entry.number,
                content,
                entry.uuid,
                entry.type,
                entry.label,
                partition_flags=entry.flags,
            )
        )
    return VolumeTable(tuple(volumes), Scheme.GPT, tuple(notes))


def _divided_by_mbr(disk: Disk, index: int, mbr: Mbr) -> VolumeTable:
    notes = list(mbr.notes)
    if mbr.protective:
        notes.append("the disk is said to have a GUID partition table, and both of its copies are damaged")
    elif has_signature(disk):
        notes.append("an old GUID partition table without a protective MBR is ignored")
    volumes = []
    for entry in mbr.entries:
        if entry.type == PROTECTIVE:
            continue
        first = entry.first * SECTOR
        if (size := _within(disk, entry.number, first, entry.size * SECTOR, notes)) is None:
            continue
        identity = f"{mbr.identifier:08x}-{entry.number:02x}" if mbr.identifier else ""
        content = probe(disk, first, size)
        if not content.type and (owner := SLICES.get(entry.type)):
            notes.append(f"partition {entry.number} has a table of {owner} of its own, which is not read")
        volumes.append(Volume(index, first, size, entry.number, content, identity, f"0x{entry.type:02x}"))
    return VolumeTable(tuple(volumes), Scheme.MBR, tuple(notes))


def _within(disk: Disk, number: int, first: int, size: int, notes: list[str]) -> int | None:
    """The bytes of a partition that are on the disk; None, with a note, where none is."""
    if size <= 0 or first >= disk.size:
        notes.append(f"partition {number} is not on the disk: it would begin at byte {first} of {disk.size}")
        return None
    if first + size > disk.size:
        notes.append(f"partition {number} goes {first + size - disk.size} bytes beyond the disk's end")
        return disk.size - first
    return size
