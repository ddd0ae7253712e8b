"""The files that a snapshot holds still, as disks to read: descriptors are read, extents looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyVmomi import vim

from converters.disks.remote.values import HttpRange, RemoteDisk, RemoteExtent, RemoteLayer
from converters.disks.vmdk import DESCRIPTOR_LIMIT, Descriptor, ExtentLine, parse_descriptor
from converters.errors import DiskError
from orchestrator.errors import (
    DisksChangedError,
    GoneError,
    UnreadableError,
    VCenterBusyError,
    VCenterError,
)
from orchestrator.vsphere import devices
from orchestrator.vsphere.datastore import DatastorePath
from orchestrator.vsphere.folder import Folder, FolderFile, RefusedError
from orchestrator.vsphere.properties import one
from orchestrator.vsphere.session import Session
from orchestrator.vsphere.values import DiskDevice, Placement, SnapshotRef
from orchestrator.vsphere.whereabouts import whereabouts

_READABLE = frozenset({"FLAT", "VMFS", "SPARSE", "VMFSSPARSE", "SESPARSE"})
"""Extents that are read exactly."""
_DOUBTFUL = frozenset({"vsan", "vsand", "vvol"})
"""Types of datastores (``Datastore.summary.type``) that keep disks as objects, not as files."""
_LONGEST_CHAIN = 64
_MOST_EXTENTS = 256


@dataclass(frozen=True, slots=True)
class FrozenDisk:
    """A disk as a snapshot holds it."""

    device: int
    """``DiskDevice.key``."""
    paths: tuple[str, ...]
    """Descriptors as vSphere names them, the newest first."""
    disk: RemoteDisk
    """Its URLs are vCenter's, and need a session."""


@dataclass(frozen=True, slots=True)
class Frozen:
    """What a snapshot holds still."""

    snapshot: SnapshotRef
    disks: tuple[FrozenDisk, ...]
    """In the order of their devices."""
    placement: Placement | None


class DatastoreReader:
    """Opens the disks of snapshots on datastores; thread-safe."""

    def __init__(self, session: Session, connections: int) -> None:
        """``connections``: reads through vCenter at one time."""
        self._session = session
        self.folder = Folder(session, connections)
        self._places: dict[str, str] = {}
        """Path of the datacenter, by moref of what is in it."""

    def open(self, snapshot: SnapshotRef) -> Frozen:
        """The disks that the snapshot holds.

        Raises:
            UnreadableError: one of them is not there as files that are read exactly.
            GoneError: the VM is not there any more.
            VCenterError: vCenter is away, or the snapshot gone.
        """
        found = self.devices(snapshot)
        try:
            opened = tuple(self._disk(disk, self._stores(snapshot)) for disk in found)
        except (RefusedError, DiskError) as error:
            raise UnreadableError(error.message, error.hint) from error
        return Frozen(snapshot, opened, self.placement(snapshot))

    def verify(self, frozen: Frozen) -> None:
        """Whether what was read is what the snapshot held, from ``open`` until now.

        Raises:
            DisksChangedError: the snapshot is gone, or a file is not as it was.
        """
        held = {disk.key: (disk.file, *disk.parents) for disk in self.devices(frozen.snapshot)}
        for disk in frozen.disks:
            if held.get(disk.device) != disk.paths:
                raise DisksChangedError(f"{disk.disk.name} is in other files than when its reading began")
            for file in disk.disk.files:
                then = self.file(file)
                self.folder.read(then, 0, min(1, then.size))

    def placement(self, snapshot: SnapshotRef) -> Placement | None:
        """Where the VM is."""
        placed = whereabouts(self._session, [snapshot.vm]).placements
        return placed[0] if placed else None

    def file(self, file: HttpRange) -> FolderFile:
        """A file of a disk, to be read through vCenter."""
        return FolderFile(file.url.removeprefix(f"https://{self.folder.place}"), file.size, file.version)

    def close(self) -> None:
        """Close connections."""
        self.folder.close()

    def devices(self, snapshot: SnapshotRef) -> tuple[DiskDevice, ...]:
        """The disks of the snapshot. Raises ``GoneError``, or ``DisksChangedError`` when it is not there."""
        managed = self._session.managed(vim.vm.Snapshot, snapshot.moref)
        row = one(self._session, managed, ("config.hardware.device",))
        if row is not None:
            return devices.disks(row.get("config.hardware.device", ()))
        if not whereabouts(self._session, [snapshot.vm]).placements:
            raise GoneError(f"the VM {snapshot.vm_name} was deleted or unregistered during the run")
        raise DisksChangedError(f"the snapshot {snapshot.name} of {snapshot.vm_name} is no longer there")

    def _stores(self, snapshot: SnapshotRef) -> dict[str, tuple[str, str]]:
        """Name → type and datacenter of the VM's datastores."""
        vm = one(self._session, self._session.managed(vim.VirtualMachine, snapshot.vm), ("datastore",))
        found = {}
        for store in vm.get("datastore", ()) if vm else ():
            if row := one(self._session, store, ("name", "summary.type", "parent")):
                found[row.get("name", "")] = row.get("summary.type", ""), self._datacenter(row.get("parent"))
        return found

    def _datacenter(self, folder: object) -> str:
        """Inventory path of the datacenter that a folder is in, with names as vCenter stores them."""
        parts: list[str] = []
        first, node = getattr(folder, "_moId", ""), folder
        if first in self._places:
            return self._places[first]
        while node is not None and (row := one(self._session, node, ("name", "parent"))) is not None:
            if isinstance(node, vim.Datacenter) or parts:
                parts.append(row.get("name", ""))
            node = row.get("parent")
        # The root folder comes last, and has no name in a path.
        self._places[first] = "/".join(reversed(parts[:-1]))
        return self._places[first]

    def _disk(self, device: DiskDevice, stores: dict[str, tuple[str, str]]) -> FrozenDisk:
        name = f"{device.label} {device.file}".strip()
        paths = (device.file, *device.parents)
        if len(paths) > _LONGEST_CHAIN:
            raise UnreadableError(f"{name} is a chain of {len(paths)} files")
        layers = tuple(self._layer(path, name, stores) for path in paths)
        disk = RemoteDisk(name, tuple(layer for layer, _ in layers))
        _check(disk, [text for _, text in layers], device)
        return FrozenDisk(device.key, paths, disk)

    def _layer(
        self, path: str, name: str, stores: dict[str, tuple[str, str]]
    ) -> tuple[RemoteLayer, Descriptor]:
        try:
            place = DatastorePath.parse(path)
        except VCenterError as error:
            raise UnreadableError(f"{name}: {error.message}") from error
        if place.datastore not in stores:
            raise UnreadableError(f"{name} is on a datastore that the account does not see")
        kind, datacenter = stores[place.datastore]
        if kind.lower() in _DOUBTFUL:
            raise UnreadableError(f"{name} is on a datastore of type {kind}, which keeps disks as objects")
        text = parse_descriptor(self.folder.head(place.target(datacenter), DESCRIPTOR_LIMIT))
        if not 0 < len(text.extents) <= _MOST_EXTENTS:
            raise UnreadableError(f"{place} names {len(text.extents)} extents")
        extents = tuple(self._extent(line, text, place, datacenter) for line in text.extents)
        return RemoteLayer(extents, text.content_id, text.parent_content_id), text

    def _extent(
        self, line: ExtentLine, text: Descriptor, place: DatastorePath, datacenter: str
    ) -> RemoteExtent:
        if line.type not in _READABLE or line.access == "NOACCESS":
            raise UnreadableError(f"{place} has an extent of the kind {line.access} {line.type}")
        name = text.file_names(line.name)[0].decode("utf-8", "surrogateescape")
        try:
            file = self.folder.look(place.beside(name).target(datacenter))
        except (RefusedError, VCenterBusyError):
            raise
        except VCenterError as error:
            raise UnreadableError(error.message) from error
        url = f"https://{self.folder.place}{file.target}"
        return RemoteExtent(
            line.type, line.sectors, HttpRange(url, file.size, version=file.version), line.offset
        )


def _check(disk: RemoteDisk, texts: Sequence[Descriptor], device: DiskDevice) -> None:
    """Whether the layers fit each other, and the device."""
    if any(layer.flat for layer in disk.layers[:-1]):
        raise UnreadableError(f"{disk.name}: a flat file that has a parent")
    for layer in disk.layers:
        if layer.capacity != device.capacity:
            raise UnreadableError(f"{disk.name} has {device.capacity} bytes, a file of it {layer.capacity}")
        _check_sizes(disk, layer)
    for text, below in zip(texts, [*texts[1:], None], strict=True):
        if text.has_parent != (below is not None):
            raise UnreadableError(f"{disk.name}: vSphere and the disk's descriptors name different parents")
        if below is not None and text.parent_content_id != below.content_id:
            raise UnreadableError(f"{disk.name}: a parent of it was changed since it is one (content ID)")


def _check_sizes(disk: RemoteDisk, layer: RemoteLayer) -> None:
    for extent in layer.extents:
        if extent.type in ("FLAT", "VMFS") and extent.file.size < (extent.offset + extent.sectors) * 512:
            raise UnreadableError(f"{disk.name}: a flat file of it is shorter than its descriptor says")
