"""Remote disks at hand: this process fetches what is read of them, and serves it to one without network."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from converters.disks.base import AbsentDisk, DiskSource, NbdSource
from converters.disks.mapped import MappedDisk, Segment, Stripe
from converters.disks.remote import chain
from converters.disks.remote.cache import CachedDisk
from converters.disks.remote.client import RangeClient
from converters.disks.remote.server import NbdServer
from converters.disks.remote.values import HttpRange, RemoteDisk, RemoteLayer
from converters.disks.scratch import SparseFile
from converters.disks.vmdk import SECTOR

_PLACEHOLDER = 1 << 20
"""Bytes of the file in the place of a disk that is left out."""
_COPIED = 8 << 20
"""Bytes of a delta at one time."""
_SOCKET = "disks"
_LONGEST_SOCKETS = 80
"""Bytes of the path of their folder: a socket's has 107 (unix(7))."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What fetching may take."""

    connections: int = 4
    """At one time, for all disks of a guest."""
    memory: int = 256 << 20
    """Bytes kept, of all disks of a guest: what tells the guest is read again for its image."""
    patience: float = 120.0
    """Seconds that a server may stay away before a read fails."""


@dataclass(frozen=True, slots=True)
class AtHand:
    """Disks that a process without network can read."""

    disks: list[DiskSource]
    """In the order of the remote ones."""
    _clients: tuple[RangeClient, ...]
    _files: tuple[CachedDisk, ...]

    @property
    def received(self) -> int:
        """Bytes that came over the network so far."""
        return sum(client.received for client in self._clients)

    def check(self) -> None:
        """Raise why a read has failed, if one has: whoever reads a served disk hears only that it did.

        Raises:
            StreamError: the server, the network, or a file that changed.
        """
        for file in self._files:
            if file.failure is not None:
                raise file.failure


@contextmanager
def at_hand(
    disks: Sequence[RemoteDisk | AbsentDisk],
    folder: Path,
    limits: Limits | None = None,
    on_copy: Callable[[int], None] = lambda received: None,
) -> Iterator[AtHand]:
    """The disks, readable as long as the block runs.

    The calling thread must stay in the block: a helper process that reads a chain ends with it.

    Args:
        folder: scratch space; deltas are copied there whole, as QEMU opens their kinds from files only.
        on_copy: told now and then how many bytes have come so far, meanwhile; may raise, to end it.

    Raises:
        StreamError: a delta cannot be fetched.
        ScratchFullError: nor put down.
        DiskError: a chain is damaged, or of a kind that cannot be read.
        ProcessError: a program that reads it is not installed.
    """
    limits = limits or Limits()
    remote = {number: disk for number, disk in enumerate(disks) if isinstance(disk, RemoteDisk)}
    wanted = tuple(dict.fromkeys(file for disk in remote.values() for file in disk.files))
    with ExitStack() as stack:
        own = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="disks-", dir=folder)))
        sockets = str(own)
        if len(os.fsencode(sockets)) > _LONGEST_SOCKETS:
            sockets = stack.enter_context(tempfile.TemporaryDirectory(prefix="disks-", dir="/tmp"))
        pool = ThreadPoolExecutor(limits.connections, thread_name_prefix="range")
        stack.callback(pool.shutdown, cancel_futures=True)
        clients = {file: RangeClient(file, limits.patience) for file in wanted}
        memory = limits.memory // max(1, len(wanted))
        files = {file: CachedDisk(clients[file].read, file.size, pool, memory) for file in wanted}
        bases = {
            f"disk-{number}": _flat(disk.layers[-1], files)
            for number, disk in remote.items()
            if disk.layers[-1].flat
        }
        # Left in this order: reads end, then who serves them, then the threads that made them.
        stack.enter_context(NbdServer(bases, f"{sockets}/{_SOCKET}"))
        for client in clients.values():
            stack.callback(client.close)
        for cached in files.values():
            stack.callback(cached.close)
        hand = AtHand([], tuple(clients.values()), tuple(files.values()))
        for number, disk in enumerate(disks):
            base = f"nbd+unix:///disk-{number}?socket={sockets}/{_SOCKET}"
            if isinstance(disk, AbsentDisk):
                hand.disks.append(_placeholder(disk, own / f"absent-{number}"))
            elif len(disk.layers) == 1 and disk.layers[0].flat:
                hand.disks.append(NbdSource(base))
            else:
                copies = _copies(disk, files, own / f"delta-{number}", lambda: on_copy(hand.received))
                path = f"{sockets}/chain-{number}"
                stack.enter_context(chain.serving(disk, copies, base, path))
                hand.disks.append(NbdSource(f"nbd+unix:///?socket={path}"))
        yield hand


def _flat(layer: RemoteLayer, files: Mapping[HttpRange, CachedDisk]) -> MappedDisk:
    segments = [
        Segment(extent.sectors * SECTOR, (Stripe(number, extent.offset * SECTOR),), extent.sectors * SECTOR)
        for number, extent in enumerate(layer.extents)
    ]
    return MappedDisk([files[extent.file] for extent in layer.extents], segments)


def _copies(
    disk: RemoteDisk, files: Mapping[HttpRange, CachedDisk], stem: Path, tick: Callable[[], None]
) -> dict[HttpRange, str]:
    """The files of the layers that are not flat, copied; their paths begin with ``stem``."""
    copies: dict[HttpRange, str] = {}
    for layer in disk.layers:
        for extent in () if layer.flat else layer.extents:
            path = f"{stem}-{len(copies)}"
            with open(path, "xb") as copy:
                sparse = SparseFile(copy.fileno())
                for offset in range(0, extent.file.size, _COPIED):
                    tick()
                    sparse.write(files[extent.file].pread(_COPIED, offset), offset)
                sparse.finish(extent.file.size)
            copies[extent.file] = path
    return copies


def _placeholder(disk: AbsentDisk, path: Path) -> AbsentDisk:
    with path.open("wb") as file:
        file.truncate(_PLACEHOLDER)
    return AbsentDisk(str(path), disk.name, disk.capacity)
