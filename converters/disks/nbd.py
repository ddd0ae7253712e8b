"""Disks behind a network block device server, read with libnbd."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import nbd

from converters.disks.stretches import Stretch
from converters.errors import DiskError

_DEFAULT_REQUEST = 32 << 20
"""Largest read a server takes when it does not say (NBD protocol, "Block size constraints")."""
_LARGEST_REQUEST = 64 << 20
"""Largest read libnbd makes (nbd_pread(3))."""

_MOST_STATUS = 1 << 30
"""Bytes that are asked about at once; a request has 32 bits for it."""


def new_handle() -> Any:
    """A libnbd handle that asks its server for what is allocated, before it connects."""
    handle = nbd.NBD()
    handle.add_meta_context(nbd.CONTEXT_BASE_ALLOCATION)
    return handle


class NbdDisk:
    """One connection to an export; threads take turns."""

    def __init__(self, handle: Any, name: str) -> None:
        """Take over a connected libnbd ``handle``; ``name`` is for messages."""
        self._handle: Any = handle
        self._name = name
        self._lock = threading.Lock()
        try:
            self._size = int(handle.get_size())
            maximum = int(handle.get_block_size(nbd.SIZE_MAXIMUM)) or _DEFAULT_REQUEST
            self._block = int(handle.get_block_size(nbd.SIZE_MINIMUM)) or 1
        except nbd.Error as error:
            raise DiskError(f"cannot use the NBD export {name}: {error}") from error
        largest = min(maximum, _LARGEST_REQUEST)
        self._request = largest - largest % self._block
        if self._size == 0:
            raise DiskError(f"the disk {name} is empty", "copy or export the disk again")

    @classmethod
    def connect(cls, uri: str) -> Self:
        """The export an NBD URI names.

        Raises:
            DiskError: no server, no such export, or not an NBD URI.
        """
        handle = new_handle()
        try:
            handle.connect_uri(uri)
        except nbd.Error as error:
            raise DiskError(
                f"cannot connect to {uri}: {error}", "check that the NBD server runs and exports this disk"
            ) from error
        return cls(handle, uri)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def size(self) -> int:
        """Size in bytes."""
        return self._size

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called."""
        return self._handle is None

    def pread(self, length: int, offset: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``; shorter only at the end of the disk.

        Raises:
            DiskError: the server reports an error, or went away.
        """
        end = min(offset + length, self._size)
        if offset >= end:
            return b""
        # Some formats are served in whole sectors only, and a read that is not is refused.
        before = offset % self._block
        stop = min(end + -end % self._block, self._size)
        parts = [
            self._read(min(stop - position, self._request), position)
            for position in range(offset - before, stop, self._request)
        ]
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        return data if len(data) == end - offset else data[before : before + end - offset]

    def stretches(self, start: int, end: int) -> Iterator[Stretch]:
        """See ``Sparse``: what the server does not call zeros (NBD protocol, ``base:allocation``).

        Raises:
            DiskError: the server reports an error, or went away.
        """
        if not self._tells_holes():
            yield start, end
            return
        while start < end:
            first = start - start % self._block
            wanted = min(end + -end % self._block, self._size) - first
            for length, flags in self._status(min(wanted, _MOST_STATUS), first):
                stop = min(first + length, end)
                if not flags & nbd.STATE_ZERO and start < stop:
                    yield start, stop
                first += length
                start = max(start, stop)

    def _tells_holes(self) -> bool:
        with self._lock:
            return self._handle is not None and bool(
                self._handle.can_meta_context(nbd.CONTEXT_BASE_ALLOCATION)
            )

    def _status(self, count: int, offset: int) -> list[Stretch]:
        """Length and flags of one extent after another from ``offset``, at least one."""
        found: list[int] = []

        def take(context: str, _: int, entries: list[int], error: Any) -> int:
            if context == nbd.CONTEXT_BASE_ALLOCATION:
                found.extend(entries)
            return 0

        with self._lock:
            if self._handle is None:
                raise DiskError(f"the disk {self._name} is closed already")
            try:
                self._handle.block_status(count, offset, take)
            except nbd.Error as error:
                raise DiskError(f"cannot tell the holes of {self._name} at byte {offset}: {error}") from error
        extents = list(zip(found[::2], found[1::2], strict=True))
        if not extents or not all(length for length, _ in extents):
            raise DiskError(f"the server of {self._name} tells nothing of byte {offset}")
        return extents

    def _read(self, count: int, offset: int) -> bytes:
        with self._lock:
            if self._handle is None:
                raise DiskError(f"the disk {self._name} is closed already")
            try:
                return bytes(self._handle.pread(count, offset))
            except nbd.Error as error:
                raise DiskError(f"cannot read {self._name} at byte {offset}: {error}") from error

    def close(self) -> None:
        """End the connection; a second call does nothing."""
        with self._lock:
            handle, self._handle = self._handle, None
        if handle is None:
            return
        try:
            handle.shutdown()
        except nbd.Error:
            return  # the server is gone: nothing is left to end
