"""What the describing process says of one descriptor, as JSON, and what its parent takes of it.

A hostile descriptor may rule the process that reads it. So nothing of it is unpickled, and no file that it
names counts unless it lies in the source folder.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from converters.descriptors.found import Descriptor, FoundDisk, FoundMachine, legible
from converters.descriptors.machine import Machine, MachineDisk
from converters.descriptors.package import FileCheck
from converters.disks.base import DiskSource, ImageFile, PackedDisk, RawFile
from converters.errors import ReaderDiedError
from converters.reader.failures import error_of, failure_of
from converters.reader.frames import Failure

MOST_BYTES = 32 << 20
"""Of an answer; a disk in the most chunks that an archive may have takes 24 MiB."""


@dataclass(frozen=True, slots=True)
class _Disk:
    """A disk; where it is read stands in the field of its kind, in none when it has no content."""

    described: MachineDisk
    raw: RawFile | None
    image: ImageFile | None
    packed: PackedDisk | None
    capacity: int


@dataclass(frozen=True, slots=True)
class _Machine:
    """See ``FoundMachine``."""

    path: str
    descriptor: Descriptor
    identifier: str
    machine: Machine
    disks: tuple[_Disk, ...]
    files: tuple[str, ...]
    checks: tuple[FileCheck, ...]
    trouble: Failure | None


_MACHINES = TypeAdapter(tuple[_Machine, ...])


def encode(machines: Iterable[FoundMachine], memory_bytes: int) -> bytes:
    """The child's side; ``memory_bytes`` is the address space that it may use."""
    told = [
        _Machine(
            found.path,
            found.descriptor,
            found.identifier,
            found.machine,
            tuple(map(_sent, found.disks)),
            found.files,
            found.checks,
            None if found.trouble is None else failure_of(found.trouble, memory_bytes),
        )
        for found in machines
    ]
    # Names of files that are not UTF-8 are lone surrogates here: JSON has them as escapes.
    return json.dumps([asdict(one) for one in told], ensure_ascii=True, default=_shown).encode("ascii")


def _shown(name: object) -> str:
    """A disk's name as its descriptor has it, which is for people alone once its file was found."""
    if not isinstance(name, bytes):
        raise TypeError(f"{name!r} is not for JSON")
    return name.decode("utf-8", "backslashreplace")


def _sent(disk: FoundDisk) -> _Disk:
    source = disk.source
    return _Disk(
        disk.described,
        source if isinstance(source, RawFile) else None,
        source if isinstance(source, ImageFile) else None,
        source if isinstance(source, PackedDisk) else None,
        disk.capacity,
    )


def decode(data: bytes, path: Path, root: Path) -> tuple[FoundMachine, ...]:
    """The parent's side: the machines of the descriptor at ``path``, all of whose files lie below ``root``.

    Raises:
        ReaderDiedError: it is no answer, or one about other files.
    """
    try:
        # Python's own reader takes lone surrogates, pydantic's does not.
        told = _MACHINES.validate_python(json.loads(data))
    except (ValidationError, ValueError, RecursionError) as error:
        raise ReaderDiedError(f"the process that read {path} sent what cannot be understood") from error
    machines = tuple(_found(one) for one in told)
    named = {name for machine in machines for name in _names(machine)}
    if any(machine.path != str(path) for machine in machines) or not all(_lies(root, name) for name in named):
        raise ReaderDiedError(f"the process that read {path} spoke of files that are none of that machine's")
    return machines


def _found(told: _Machine) -> FoundMachine:
    disks = tuple(
        FoundDisk(disk.described, disk.raw or disk.image or disk.packed, disk.capacity) for disk in told.disks
    )
    trouble = None if told.trouble is None else error_of(told.trouble)
    return legible(
        FoundMachine(
            told.path, told.descriptor, told.identifier, told.machine, disks, told.files, told.checks, trouble
        )
    )


def _names(machine: FoundMachine) -> Iterator[str]:
    """Every path that a worker would open, or look at."""
    yield from machine.files
    for check in machine.checks:
        yield check.part.path
    for disk in machine.disks:
        yield from _opened(disk.source)


def _opened(source: DiskSource | None) -> Iterator[str]:
    match source:
        case RawFile(path):
            yield path
        case ImageFile(path, _, within):
            yield path
            yield within
        case PackedDisk(parts):
            yield from (part.path for part in parts)


def _lies(root: Path, name: str) -> bool:
    """Whether a file lies below ``root``, or is that, links followed."""
    try:
        return Path(os.path.realpath(name)).is_relative_to(root)
    except (OSError, ValueError):  # with a zero byte in it
        return False
