"""Disks of small guests, made without privileges where they are ext: a table, partitions, files in them."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.converters.filesystems.ext_images import QUIET
from tests.converters.filesystems.journals import make_filesystem
from tests.kernel import mounted

MIB = 1 << 20
OS_RELEASE = "ID=test\n"

Files = Mapping[str, str | None]
"""Content by path; None is a directory."""


@dataclass(frozen=True)
class Reading:
    """Settings of an opening."""

    engines: tuple[str, ...] = ("ext2fs", "uml", "guestfs")
    root: str = ""


IN_PROCESS = Reading(("ext2fs", "uml"))


@dataclass(frozen=True)
class Part:
    """A partition to make: its size, what it holds, and its files."""

    mib: int
    type: str
    files: Files
    options: tuple[str, ...] = ()
    """Of mke2fs(8)."""
    table: str = ""
    """Further fields of its line for sfdisk(8): ``type=…, uuid=…``."""


def make_disk(path: Path, parts: Sequence[Part], label: str = "gpt") -> list[str]:
    """A disk with these partitions from 1 MiB; the UUIDs of what they hold."""
    with open(path, "wb") as file:
        file.truncate((sum(part.mib for part in parts) + 2) * MIB)
    table = "".join(f"size={part.mib}MiB{part.table and ', '}{part.table}\n" for part in parts)
    subprocess.run(["sfdisk", "-q", path], input=f"label: {label}\n{table}".encode(), check=True)
    uuids = []
    offset = MIB
    for part in parts:
        _fill(path, part, offset)
        blkid = ["blkid", "-p", "-O", str(offset), "-s", "UUID", "-o", "value", str(path)]
        uuids.append(subprocess.run(blkid, check=True, capture_output=True, text=True).stdout.strip())
        offset += part.mib * MIB
    return uuids


def _fill(path: Path, part: Part, offset: int) -> None:
    size = part.mib * MIB
    if part.type.startswith("ext"):
        with tempfile.TemporaryDirectory() as folder:
            fill(Path(folder), part.files)
            make = ["mke2fs", "-q", "-F", "-t", part.type, "-E", f"offset={offset}", "-d", folder]
            words = [*make, *part.options, str(path), f"{part.mib}M"]
            subprocess.run(words, check=True, env=QUIET, stderr=subprocess.DEVNULL)
        return
    make_filesystem(path, part.type, offset=offset, size=size)
    if part.files:
        with mounted(path, part.type, offset=offset, size=size, options="rw") as root:
            fill(root, part.files)


def fill(root: Path, files: Files) -> None:
    """Write files below ``root``; a target behind ``->`` makes a symbolic link."""
    root.chmod(0o755)
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.mkdir(exist_ok=True)
        elif content.startswith("-> "):
            path.symlink_to(content.removeprefix("-> "))
        else:
            path.write_text(content)


def root_files(fstab: str, **more: str | None) -> dict[str, str | None]:
    """What makes a Linux root, with its fstab."""
    return {"etc/fstab": fstab, "etc/os-release": OS_RELEASE, "usr/bin/true": "#!", **more}


def rewrite(path: Path, offset: int, fstab: str) -> None:
    """Give an ext root another fstab."""
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(fstab)
        file.flush()
        commands = f"rm /etc/fstab\nwrite {file.name} /etc/fstab\n"
        words = ["debugfs", "-w", "-f", "-", f"{path}?offset={offset}"]
        subprocess.run(words, input=commands.encode(), check=True, env=QUIET, capture_output=True)
