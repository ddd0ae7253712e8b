"""The disk bus: readers see a ``Disk`` for every source; a ``DiskSource`` says where one is, and travels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Disk(Protocol):
    """A read-only block device. Offsets and lengths are bytes; implementations are thread-safe."""

    @property
    def size(self) -> int:
        """Size in bytes."""

    def pread(self, length: int, offset: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``; shorter only at the end of the disk.

        Raises:
            DiskError: the bytes cannot be read.
        """

    def close(self) -> None:
        """Release the file or connection; a second call does nothing."""


@dataclass(frozen=True, slots=True)
class RawFile:
    """A raw or flat disk image, or a block device, at ``path``."""

    path: str


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A disk image in a format of its own; ``format`` is QEMU's name for it (``vmdk``, ``qcow2``…)."""

    path: str
    format: str
    within: str = ""
    """Folder whose files the image may name as its extents and parents; empty: the image's own folder."""


@dataclass(frozen=True, slots=True)
class FilePart:
    """Bytes of a file: a member of a tar archive, for example; with the defaults the whole file."""

    path: str
    offset: int = 0
    """Bytes from the start of the file."""
    size: int | None = None
    """Bytes; None: to the end of the file."""


@dataclass(frozen=True, slots=True)
class PackedDisk:
    """A disk image inside other files: in an archive, in chunks, compressed by gzip, or all of these.

    What it is — gzip or not, raw or in which format — is told by its own bytes when it is opened. It may name
    no other file.
    """

    parts: tuple[FilePart, ...]
    """One after another they are the image, or the gzip stream of it."""
    capacity: int | None = None
    """Bytes of the disk as its envelope says; more than this, and a format's tables, is not unpacked."""


@dataclass(frozen=True, slots=True)
class NbdSource:
    """An export of a network block device server, by its NBD URI (``nbd+unix:///?socket=…``)."""

    uri: str


@dataclass(frozen=True, slots=True)
class AbsentDisk:
    """A disk of the guest that was left out; the others keep their numbers, as its fstab may count disks."""

    path: str
    """A small file of zeros that stands in its place."""
    name: str
    """What people call it."""
    capacity: int
    """Bytes of the disk itself."""


DiskSource = RawFile | ImageFile | PackedDisk | NbdSource | AbsentDisk
"""Where a disk can be read: hashable, picklable, opened late by ``converters.disks.open_disk``."""
