"""Where a volume lies on its disk: on all of it, in a partition, in a logical volume."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tests.matrix.variants import MIB

_EXTENT = 4 * MIB
_FIRST_EXTENT = MIB
_GROUP = "vg-matrix"
_COPY = 4 * MIB


class Table(StrEnum):
    """The partition table of a disk."""

    NONE = "none"
    MBR = "mbr"
    """The volume is in a logical partition."""
    GPT = "gpt"


@dataclass(frozen=True, slots=True)
class Layout:
    """A way to put a volume on a disk."""

    table: Table
    is_logical: bool
    """Whether LVM lies between."""

    @property
    def device(self) -> str:
        """What a person calls the volume."""
        if self.is_logical:
            return f"/dev/{_GROUP}/root"
        return "disk 0" if self.table is Table.NONE else f"disk 0 partition {self._number}"

    @property
    def _number(self) -> int:
        return 5 if self.table is Table.MBR else 2

    @property
    def _start(self) -> int:
        """Bytes before the partition."""
        return {Table.NONE: 0, Table.MBR: 6 * MIB, Table.GPT: 3 * MIB}[self.table]

    def place(self, volume: Path, disk: Path) -> Path:
        """Put ``volume`` on the new ``disk``; LVM needs root."""
        size = volume.stat().st_size
        room = size + (4 * _EXTENT if self.is_logical else 0)
        with open(disk, "xb") as file:
            file.truncate(self._start + room + (2 * MIB if self.table is not Table.NONE else 0))
        _partition(disk, self.table, self._start, room)
        pieces = [(0, size)]
        if self.is_logical:
            with _looped(disk, self._start, room) as device:
                pieces = _logical_volume(device, size)
        _write(volume, disk, [(self._start + start, length) for start, length in pieces])
        return disk


def _partition(disk: Path, table: Table, start: int, size: int) -> None:
    match table:
        case Table.NONE:
            return
        case Table.MBR:
            lines = [
                "label: dos",
                "start=1MiB, size=2MiB, type=83",
                "start=5MiB, type=5",
                f"start={start // 512}, size={size // 512}, type=83",
            ]
        case Table.GPT:
            lines = ["label: gpt", "start=1MiB, size=2MiB", f"start={start // 512}, size={size // 512}"]
    script = "\n".join(lines)
    subprocess.run(["sfdisk", "-q", disk], input=script.encode(), check=True, capture_output=True)


@contextmanager
def _looped(disk: Path, start: int, size: int) -> Iterator[str]:
    """A loop device over ``size`` bytes of ``disk``."""
    setup = ["losetup", "--find", "--show", "--offset", str(start), "--sizelimit", str(size), str(disk)]
    device = subprocess.run(setup, check=True, capture_output=True, text=True).stdout.strip()
    try:
        yield device
    finally:
        subprocess.run(["losetup", "-d", device], check=True)


def _logical_volume(device: str, size: int) -> list[tuple[int, int]]:
    """A logical volume in two pieces, written by LVM without the device mapper: the place and size of each.

    Another volume lies between the pieces.
    """
    count = size // _EXTENT
    half = count // 2
    lvcreate = ("lvcreate", "-y", "-an", "-Zn", "-Wn", _GROUP)
    _lvm(device, "pvcreate", device)
    _lvm(device, "vgcreate", "-s", f"{_EXTENT}b", _GROUP, device)
    _lvm(device, *lvcreate, "-n", "root", "-l", str(half))
    _lvm(device, *lvcreate, "-n", "between", "-l", "1")
    _lvm(device, "lvextend", f"{_GROUP}/root", "-l", str(count))
    columns = "seg_pe_ranges"
    ranges = _lvm(device, "lvs", "--noheadings", "--segments", "-o", columns, f"{_GROUP}/root").split()
    assert len(ranges) == 2
    pieces = []
    for piece in ranges:
        first, last = map(int, piece.rpartition(":")[2].split("-"))
        pieces.append((_FIRST_EXTENT + first * _EXTENT, (last - first + 1) * _EXTENT))
    return pieces


def _lvm(device: str, *command: str) -> str:
    """One command of LVM that sees ``device`` alone and asks the kernel for nothing (lvm(8))."""
    verb, *words = command
    only = (
        f'devices {{ scan="/dev" use_devicesfile=0 filter=["a|^{device}$|", "r|.*|"] }} backup {{ backup=0 }}'
    )
    done = subprocess.run(
        ["lvm", verb, "--driverloaded", "n", "--config", only, *words],
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


def _write(volume: Path, disk: Path, pieces: list[tuple[int, int]]) -> None:
    """Write ``volume`` to these places of ``disk``, in order; what is zero stays a hole."""
    zeros = bytes(_COPY)
    with open(volume, "rb") as source, open(disk, "r+b") as target:
        for start, length in pieces:
            for offset in range(start, start + length, _COPY):
                chunk = source.read(min(_COPY, start + length - offset))
                if chunk != zeros[: len(chunk)]:
                    os.pwrite(target.fileno(), chunk, offset)
