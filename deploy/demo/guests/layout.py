"""Partition tables and file systems on a raw disk image, from a tree of files; no mounts."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from converters import process

SECTOR = 512
MIB = 1 << 20
_LINUX = {"gpt": "0FC63DAF-8483-4772-8E79-3D69D8477DE4", "dos": "83"}
_SWAP = {"gpt": "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F", "dos": "82"}
_EXTENDED = "5"
_SWAP_HEADER = 4096


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition to make. Sizes in MiB; ``uuid`` is the file system's."""

    size: int
    type: str = "ext4"
    """``ext3``, ``ext4``, ``swap``, or empty: space with nothing in it (a BIOS boot partition)."""
    mount: str = ""
    """Where fstab mounts it."""
    uuid: str = ""
    label: str = ""
    logical: bool = False
    """Whether it is in the extended partition of an MBR."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A disk's partition table, ``gpt`` or ``dos``; empty: the first partition is the whole disk."""

    table: str
    partitions: tuple[Partition, ...]


@dataclass(frozen=True, slots=True)
class Built:
    """A file system in a disk image; offset and size in bytes."""

    mount: str
    type: str
    offset: int
    size: int


def place(layout: Layout) -> tuple[tuple[Built, ...], int]:
    """Where each partition lies, in order, and the size of the disk in bytes."""
    if not layout.table:
        only = layout.partitions[0]
        return (Built(only.mount, only.type, 0, only.size * MIB),), only.size * MIB
    built = []
    end = 1  # MiB; the table is in the first
    for partition in layout.partitions:
        start = end + 1 if partition.logical else end  # the MiB before a logical one holds its link
        built.append(Built(partition.mount, partition.type, start * MIB, partition.size * MIB))
        end = start + partition.size
    return tuple(built), (end + 1) * MIB  # the last MiB is for GPT's second table


def write_table(disk: Path, layout: Layout) -> None:
    """Create the disk image, sparse, with its partition table."""
    built, size = place(layout)
    with disk.open("wb") as file:
        file.truncate(size)
    if layout.table:
        script = f"label: {layout.table}\n" + "".join(_lines(layout, built, size))
        process.run(["sfdisk", "--quiet", str(disk)], input=script.encode())


def _lines(layout: Layout, built: tuple[Built, ...], size: int) -> list[str]:
    lines = []
    extended = False
    for partition, place_ in zip(layout.partitions, built, strict=True):
        if partition.logical and not extended:
            start = place_.offset // SECTOR - MIB // SECTOR
            lines.append(f"start={start}, size={size // SECTOR - MIB // SECTOR - start}, type={_EXTENDED}\n")
            extended = True
        kind = (_SWAP if partition.type == "swap" else _LINUX)[layout.table]
        lines.append(f"start={place_.offset // SECTOR}, size={place_.size // SECTOR}, type={kind}\n")
    return lines


def filesystem_command(disk: Path, partition: Partition, built: Built, tree: Path) -> list[str]:
    """The command that makes a partition's file system with all of ``tree`` in it (mke2fs(8)).

    As root it keeps owners, modes, hard links, extended attributes, devices and whole seconds of times.
    """
    options = f"offset={built.offset},hash_seed={partition.uuid}"
    command = [
        "mke2fs",
        "-q",
        "-F",
        "-t",
        partition.type,
        "-d",
        str(tree),
        "-U",
        partition.uuid,
        "-E",
        options,
    ]
    label = ["-L", partition.label] if partition.label else []
    return [*command, *label, str(disk), f"{built.size // 1024}k"]


def write_swap(disk: Path, partition: Partition, built: Built) -> None:
    """Make a partition swap space: the header that mkswap(8) writes, which knows no offset."""
    with tempfile.NamedTemporaryFile(dir=disk.parent) as whole, disk.open("r+b") as file:
        whole.truncate(built.size)
        process.run(["mkswap", "--uuid", partition.uuid, whole.name])
        file.seek(built.offset)
        file.write(Path(whole.name).read_bytes()[:_SWAP_HEADER])
