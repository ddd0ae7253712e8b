"""A machine as files that workers see: values only."""

from __future__ import annotations

from dataclasses import dataclass

from converters.descriptors.package import FileCheck
from converters.disks.base import DiskSource


@dataclass(frozen=True, slots=True)
class FileMark:
    """What tells one state of a file from another without reading it."""

    path: str
    size: int
    """Bytes."""
    modified: int
    """Nanoseconds since 1970-01-01 UTC, by the file system's clock."""


@dataclass(frozen=True, slots=True)
class MachineFiles:
    """Where the disks of a machine are read."""

    disks: tuple[tuple[int, DiskSource | None], ...]
    """Each by its device key, in the machine's order; None: it has no content yet."""
    marks: tuple[FileMark, ...]
    """All files that it is read from, as the inventory saw them."""
    checks: tuple[FileCheck, ...] = ()
    """What is verified before the disks are trusted."""
