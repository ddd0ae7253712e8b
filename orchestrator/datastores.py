"""The transport ``datastore``: disks are read from datastores over HTTP, through this process's proxy."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from orchestrator.errors import DisksChangedError
from orchestrator.in_place import InPlace, Transport, through
from orchestrator.proxy import Proxy
from orchestrator.vsphere.chain import DatastoreReader, Frozen
from orchestrator.vsphere.folder import Folder, FolderFile
from orchestrator.vsphere.values import SnapshotRef


@dataclass(frozen=True, slots=True)
class _FolderSource:
    """A file for the proxy."""

    folder: Folder
    file: FolderFile

    @property
    def size(self) -> int:
        return self.file.size

    @property
    def version(self) -> str:
        return self.file.version

    def read(self, offset: int, length: int) -> bytes:
        return self.folder.read(self.file, offset, length)


class DatastoreExporter:
    """See ``in_place.InPlaceExporter``."""

    transport = Transport.DATASTORE

    def __init__(self, reader: DatastoreReader, proxy: Proxy, seconds: float) -> None:
        """``seconds`` are the longest that a VM's disks may be read."""
        self._reader = reader
        self._proxy = proxy
        self._seconds = seconds
        self._lock = threading.Lock()
        self._held: dict[str, Frozen] = {}

    def begin(self, snapshot: SnapshotRef) -> InPlace:
        """Look at the disks' files, and make a ticket for exactly them."""
        frozen = self._reader.open(snapshot)
        files = tuple(dict.fromkeys(file for disk in frozen.disks for file in disk.disk.files))
        sources = [_FolderSource(self._reader.folder, self._reader.file(file)) for file in files]
        ticket, given = self._proxy.issue(sources, self._seconds)
        with self._lock:
            self._held[ticket] = frozen
        ways = dict(zip(files, given, strict=True))
        disks = tuple((disk.device, through(disk.disk, ways)) for disk in frozen.disks)
        return InPlace(self.transport, ticket, disks, frozen.placement)

    def verify(self, held: InPlace) -> None:
        """The snapshot is there, and its files are as they were."""
        with self._lock:
            frozen = self._held.get(held.ticket)
        if frozen is None:
            raise DisksChangedError("the reading of the disks has ended already")
        self._reader.verify(frozen)

    def end(self, held: InPlace) -> None:
        """End the ticket."""
        self._proxy.end(held.ticket)
        with self._lock:
            self._held.pop(held.ticket, None)
