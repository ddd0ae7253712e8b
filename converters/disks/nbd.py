"""Disks behind a network block device server, read with libnbd."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any, Self

import nbd

from converters.errors import DiskError

_DEFAULT_REQUEST = 32 << 20
"""Largest read a server takes when it does not say (NBD protocol, "Block size constraints")."""
_LARGEST_REQUEST = 64 << 20
"""Largest read libnbd makes (nbd_pread(3))."""


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
        handle = nbd.NBD()
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
