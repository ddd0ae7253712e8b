"""The transport ``vddk``: disks are read by VMware's library beside this process, given out by its proxy."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from converters.disks import Disk, NbdSource, open_disk
from converters.disks.remote.values import raw_disk
from converters.errors import ConvertError
from orchestrator import nbdkit
from orchestrator.errors import DisksChangedError, UnreadableError
from orchestrator.in_place import InPlace, Transport
from orchestrator.proxy import Proxy
from orchestrator.vsphere.chain import DatastoreReader
from orchestrator.vsphere.values import DiskDevice, SnapshotRef


class _Served:
    """A disk behind nbdkit, for the proxy: several connections, as one takes a read at a time."""

    version = ""

    def __init__(self, uri: str, stack: ExitStack) -> None:
        self._free: queue.SimpleQueue[Disk] = queue.SimpleQueue()
        for _ in range(nbdkit.THREADS):
            disk = open_disk(NbdSource(uri))
            stack.callback(disk.close)
            self.size = disk.size
            self._free.put(disk)

    def read(self, offset: int, length: int) -> bytes:
        """See ``proxy.Source``."""
        disk = self._free.get()
        try:
            return disk.pread(length, offset)
        finally:
            self._free.put(disk)


@dataclass(frozen=True, slots=True)
class _Held:
    snapshot: SnapshotRef
    devices: tuple[DiskDevice, ...]
    stack: ExitStack = field(default_factory=ExitStack)
    """Ends what serves the disks."""


class VddkExporter:
    """See ``in_place.InPlaceExporter``; a context manager, whose end ends every nbdkit."""

    transport = Transport.VDDK

    def __init__(self, reader: DatastoreReader, vddk: nbdkit.Vddk, proxy: Proxy, seconds: float) -> None:
        """``seconds`` are the longest that a VM's disks may be read."""
        self._reader = reader
        self._vddk = vddk
        self._proxy = proxy
        self._seconds = seconds
        self._lock = threading.Lock()
        self._held: dict[str, _Held] = {}
        # A child ends with the thread that started it; those that call here come and go.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="vddk")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for held in tuple(self._held.values()):
            held.stack.close()
        self._starter.shutdown()

    def begin(self, snapshot: SnapshotRef) -> InPlace:
        """Start an nbdkit for each disk, and make a ticket for exactly them."""
        held = _Held(snapshot, self._reader.devices(snapshot))
        with _undone(held.stack):
            sources = [self._serve(held, disk) for disk in held.devices]
            ticket, given = self._proxy.issue(sources, self._seconds)
            with self._lock:
                self._held[ticket] = held
        names = [f"{disk.label} {disk.file}".strip() for disk in held.devices]
        disks = tuple(
            (disk.key, raw_disk(name, file))
            for disk, name, file in zip(held.devices, names, given, strict=True)
        )
        return InPlace(self.transport, ticket, disks, self._reader.placement(snapshot))

    def verify(self, held: InPlace) -> None:
        """The snapshot is there, and holds the same files."""
        with self._lock:
            then = self._held.get(held.ticket)
        if then is None or self._reader.devices(then.snapshot) != then.devices:
            raise DisksChangedError("the disks are in other files than when their reading began")

    def end(self, held: InPlace) -> None:
        """End the ticket, then what serves the disks."""
        self._proxy.end(held.ticket)
        with self._lock:
            then = self._held.pop(held.ticket, None)
        if then is not None:
            then.stack.close()

    def _serve(self, held: _Held, disk: DiskDevice) -> _Served:
        serving = nbdkit.serving(self._vddk, held.snapshot, disk)
        uri = self._starter.submit(held.stack.enter_context, serving).result()
        try:
            served = _Served(uri, held.stack)
        except ConvertError as error:
            raise UnreadableError(f"{disk.label} {disk.file}: {error.message}", error.hint) from error
        if served.size != disk.capacity:
            raise UnreadableError(
                f"{disk.label} {disk.file} has {disk.capacity} bytes, VDDK gives {served.size}"
            )
        return served


@contextmanager
def _undone(stack: ExitStack) -> Iterator[None]:
    """Close the stack when the block fails."""
    try:
        yield
    except BaseException:
        stack.close()
        raise
