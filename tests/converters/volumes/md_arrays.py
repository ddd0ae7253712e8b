"""Arrays of md of each level and version of metadata, their members in partitions of three disks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.converters.volumes.builder import MIB, made

MEMBER = 14
"""MiB of a member."""


@dataclass(frozen=True)
class Array:
    """One array, as ``mdadm --create`` is asked for it."""

    level: str
    members: int
    metadata: str = "1.2"
    options: str = ""


ARRAYS = {
    "old": Array("1", 2, "0.90"),
    "end": Array("1", 2, "1.0"),
    "start": Array("1", 2, "1.1"),
    "usual": Array("1", 2, "1.2", "--bitmap=internal"),
    "single": Array("1", 1, "1.2", "--force"),
    "stale": Array("1", 2),
    "stripes": Array("0", 3, "1.2", "--chunk=64"),
    "chain": Array("linear", 2),
    "ten": Array("10", 4, "1.2", "--chunk=64 --layout=n2"),
    "oneandhalf": Array("10", 3, "1.2", "--chunk=64 --layout=n2"),
    "far": Array("10", 2, "1.2", "--chunk=64 --layout=f2"),
    "five": Array("5", 3, "1.2", "--chunk=64"),
    "six": Array("6", 4, "1.2", "--chunk=64"),
}
LEFT = frozenset({"oneandhalf", "far", "five", "six"})
"""What is not read in process."""
_PARTITIONS = 15
"""Of a disk, as many as user-mode Linux sees."""


def device(name: str) -> str:
    """The path of an array's device, as the guest names it."""
    return f"/dev/md{list(ARRAYS).index(name)}" if ARRAYS[name].metadata == "0.90" else f"/dev/md/{name}"


def members(name: str) -> list[tuple[int, int]]:
    """An array's members: indexes of disks, and numbers of partitions."""
    first = sum(array.members for other, array in ARRAYS.items() if _before(other, name))
    return [
        (index // _PARTITIONS, index % _PARTITIONS + 1)
        for index in range(first, first + ARRAYS[name].members)
    ]


def _before(one: str, other: str) -> bool:
    names = list(ARRAYS)
    return names.index(one) < names.index(other)


def disks() -> Path:
    """The folder with the disks ``a``, ``b`` and ``c``."""
    count = sum(array.members for array in ARRAYS.values())
    number = -(-count // _PARTITIONS)
    table = "label: gpt\n" + f"size={MEMBER}MiB\n" * _PARTITIONS
    return made("md", [(MEMBER * _PARTITIONS + 2) * MIB] * number, _script(), [table] * number)


def _script() -> str:
    lines = []
    for number, (name, array) in enumerate(ARRAYS.items()):
        parts = [f"/dev/ubd{'abc'[disk]}{part}" for disk, part in members(name)]
        named = "" if array.metadata == "0.90" else f"--name={name} --homehost=guest"
        lines.append(
            f"yes | mdadm --create /dev/md{number} --run --metadata={array.metadata} --level={array.level} "
            f"{named} --raid-devices={array.members} {array.options} {' '.join(parts)}"
        )
        if array.level not in ("0", "linear"):
            lines.append(f"mdadm --wait /dev/md{number} || true")
        lines.append(f"fill /dev/md{number} {name}")
        if name == "stale":
            lines += [
                f"mdadm /dev/md{number} --fail {parts[0]}",
                f"mdadm /dev/md{number} --remove {parts[0]}",
                f"mount -t ext4 /dev/md{number} /mnt && echo news > /mnt/news && umount /mnt",
            ]
        lines.append(f"mdadm --stop /dev/md{number}")
    return "\n".join(lines)
