"""Where a disk on another machine can be read: values that travel to whoever has the network to do so."""

from __future__ import annotations

from dataclasses import dataclass

from converters.disks.vmdk import FLAT_TYPES, NO_PARENT, SECTOR


@dataclass(frozen=True, slots=True)
class HttpRange:
    """A file that an HTTP server gives in ranges (RFC 9110, 14). No credentials: the URL is a ticket."""

    url: str
    size: int
    """Bytes."""
    thumbprint: str = ""
    """SHA-256 or SHA-1 of the server's certificate in hex; empty: verified by the system's authorities."""
    version: str = ""
    """What the server calls the file's state (``version_of``); another one later is an error."""


@dataclass(frozen=True, slots=True)
class RemoteExtent:
    """A stretch of a disk, in the words of a VMDK descriptor."""

    type: str
    """``FLAT``, ``VMFS``, ``SPARSE``, ``VMFSSPARSE`` or ``SESPARSE``."""
    sectors: int
    file: HttpRange
    offset: int = 0
    """Sectors from the start of the file."""


@dataclass(frozen=True, slots=True)
class RemoteLayer:
    """One VMDK of a chain."""

    extents: tuple[RemoteExtent, ...]
    content_id: int = 0
    parent_content_id: int = NO_PARENT

    @property
    def flat(self) -> bool:
        """Whether the extents' bytes are the disk's."""
        return all(extent.type in FLAT_TYPES for extent in self.extents)

    @property
    def capacity(self) -> int:
        """Bytes."""
        return sum(extent.sectors for extent in self.extents) * SECTOR


@dataclass(frozen=True, slots=True)
class RemoteDisk:
    """A disk made of layers, the newest first; each holds what differs from those after it."""

    name: str
    """What people call it."""
    layers: tuple[RemoteLayer, ...]

    @property
    def capacity(self) -> int:
        """Bytes of the disk."""
        return self.layers[0].capacity

    @property
    def files(self) -> tuple[HttpRange, ...]:
        """Every file that it takes."""
        return tuple(extent.file for layer in self.layers for extent in layer.extents)


def raw_disk(name: str, file: HttpRange) -> RemoteDisk:
    """A disk whose bytes are those of one file."""
    return RemoteDisk(name, (RemoteLayer((RemoteExtent("FLAT", file.size // SECTOR, file),)),))


def version_of(etag: str | None, modified: str | None) -> str:
    """What tells a file's state by its answer's header fields: the entity tag, else when it was changed."""
    return etag or modified or ""
