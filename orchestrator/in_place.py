"""Reading a VM's disks where they are, while its snapshot holds them: the ways beside the export lease."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from converters.disks.base import AbsentDisk
from converters.disks.remote.values import HttpRange, RemoteDisk
from orchestrator.vsphere.values import DiskDevice, Placement, SnapshotRef


class Transport(StrEnum):
    """How a VM's disks are read."""

    NFC = "nfc"
    DATASTORE = "datastore"
    VDDK = "vddk"


@dataclass(frozen=True, slots=True)
class InPlace:
    """Disks that can be read until ``InPlaceExporter.end``."""

    transport: Transport
    ticket: str
    disks: tuple[tuple[int, RemoteDisk], ...]
    """Key of the device, and where it is read; in the order of the devices."""
    placement: Placement | None

    def beside(self, left_out: Sequence[DiskDevice]) -> tuple[RemoteDisk | AbsentDisk, ...]:
        """The disks to read, with those that are left out in their places."""
        absent = {device.key: device for device in left_out}
        return tuple(
            disk if (device := absent.get(key)) is None else AbsentDisk("", disk.name, device.capacity)
            for key, disk in self.disks
        )


class InPlaceExporter(Protocol):
    """Lets workers read what a snapshot holds; every method may be called from any thread."""

    @property
    def transport(self) -> Transport:
        """The way."""

    def begin(self, snapshot: SnapshotRef) -> InPlace:
        """Let the disks be read.

        Raises:
            UnreadableError: not in this way; the export lease does it.
            OrchestratorError: vCenter is away, the VM or the snapshot gone.
        """

    def verify(self, held: InPlace) -> None:
        """What was read is what the snapshot held all the time. Raises ``DisksChangedError``."""

    def end(self, held: InPlace) -> None:
        """Nothing is read any more; a second call does nothing."""


def through(disk: RemoteDisk, files: Mapping[HttpRange, HttpRange]) -> RemoteDisk:
    """The disk with its files somewhere else."""
    layers = tuple(
        replace(
            layer,
            extents=tuple(replace(extent, file=files[extent.file]) for extent in layer.extents),
        )
        for layer in disk.layers
    )
    return replace(disk, layers=layers)
