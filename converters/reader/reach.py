"""Which files the reading process and its helpers may reach: the disks, scratch, and the system's programs.

Nothing in a home folder, no other VM's scratch, no ledger, no credentials' files.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import assert_never

from converters.disks.base import AbsentDisk, DiskSource, ImageFile, NbdSource, PackedDisk, RawFile
from converters.disks.parts import numbered_files
from converters.reader.landlock import READ, RUN, Access, Rule
from converters.reading import Reading

_SYSTEM = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/proc", "/sys"),
    # Of these libguestfs makes its appliance, where there is none.
    *("/boot", "/var/lib/dpkg"),
)
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "kvm")
_USE = READ | Access.WRITE_FILE | Access.CONTROL_DEVICE
_ALL = ~Access.MAKE_BLOCK_DEVICE & ~Access.MAKE_CHARACTER_DEVICE
_MEMORY = "/dev/shm"
"""Where user-mode Linux keeps its memory."""
_SOCKETS = Access.MAKE_FOLDER | Access.MAKE_SOCKET | Access.REMOVE_FOLDER | Access.REMOVE_FILE


def rules(disks: Iterable[DiskSource], reading: Reading, *folders: str) -> Iterator[Rule]:
    """What may be done to which files, to read ``disks`` so, with ``folders`` of the process's own."""
    for path in (*_SYSTEM, *_python()):
        yield Rule(path, RUN)
    for name in _DEVICES:
        yield Rule(f"/dev/{name}", _USE)
    for disk in disks:
        for path in _files(disk):
            yield Rule(path, READ | Access.CONTROL_DEVICE)
    if reading.luks_keys:
        yield Rule(reading.luks_keys, READ)
    for folder in (*folders, _MEMORY):
        yield Rule(folder, _ALL)
    if os.geteuid() == 0:  # libguestfs has root's sockets nowhere else (guestfs(3), guestfs_get_sockdir)
        yield Rule("/tmp", _SOCKETS)


def rules_of_descriptors(root: str) -> Iterator[Rule]:
    """What the process that reads the descriptors below ``root`` may do to files."""
    for path in (*_SYSTEM, *_python()):
        yield Rule(path, RUN)
    yield Rule(root, READ)


def _python() -> Iterator[str]:
    """What Python may import yet."""
    yield from dict.fromkeys((sys.prefix, sys.base_prefix, *filter(None, sys.path)))


def _files(disk: DiskSource) -> Iterator[str]:
    match disk:
        case RawFile(path) | AbsentDisk(path):
            yield from numbered_files(path)
        case ImageFile(path, within=within):
            yield path
            yield within or str(Path(path).resolve().parent)
        case PackedDisk(parts):
            yield from (part.path for part in parts)
        case NbdSource():
            return
        case _:
            assert_never(disk)
