"""One disk's download, whatever it turns out to be: decoded to a sparse scratch file while it arrives."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Protocol, Self

from converters.disks.base import DiskSource, ImageFile, RawFile
from converters.disks.nfc.optimized import OptimizedDecoder, streamable
from converters.disks.scratch import SparseFile
from converters.disks.vmdk import SECTOR, parse_header
from converters.errors import DiskError, StreamError

_LARGEST_DISK = 64 << 40
"""Bytes; vSphere's maximum is 62 TB (Configuration Maximums)."""
_PIECE = 1 << 20
_THREADS = 2


class StreamFormat(StrEnum):
    """What a download turned out to be."""

    RAW = "raw"
    STREAM_OPTIMIZED = "streamOptimized"
    SPARSE = "vmdk"
    """A VMDK that cannot be decoded front to back, kept as it came."""


@dataclass(frozen=True, slots=True)
class StreamResult:
    """A download that is whole; sizes are bytes."""

    capacity: int
    bytes_in: int
    bytes_written: int
    """Without the holes."""
    format: StreamFormat

    def source(self, path: str) -> DiskSource:
        """Where the disk can be read now, given the path of the scratch file."""
        if self.format is StreamFormat.SPARSE:
            return ImageFile(path, "vmdk")
        return RawFile(path)


class _Body(Protocol):
    @property
    def capacity(self) -> int: ...
    @property
    def written(self) -> int: ...
    def feed(self, chunk: bytes | memoryview) -> None: ...
    def finish(self) -> None: ...
    def close(self) -> None: ...


class _PlainBody:
    """Bytes that go to scratch as they are, but for the zeros."""

    def __init__(self, scratch: SparseFile, limit: int, capacity: int | None = None) -> None:
        """``limit`` is the most bytes there can be; ``capacity`` is the disk's size if it is not theirs."""
        self._scratch = scratch
        self._limit = limit
        self._capacity = capacity
        self._buffer = bytearray()
        self._size = 0
        self.written = 0

    @property
    def capacity(self) -> int:
        return self._size if self._capacity is None else self._capacity

    def feed(self, chunk: bytes | memoryview) -> None:
        self._buffer += chunk
        if self._size + len(self._buffer) > self._limit:
            raise StreamError(f"more than the {self._limit} bytes that were expected arrived")
        while len(self._buffer) >= _PIECE:
            self._put(_PIECE)

    def finish(self) -> None:
        self._put(len(self._buffer))
        self._scratch.finish(self._size)

    def close(self) -> None:
        self._buffer.clear()

    def _put(self, length: int) -> None:
        piece = bytes(memoryview(self._buffer)[:length])
        del self._buffer[:length]
        self.written += self._scratch.write(piece, self._size)
        self._size += length


class StreamDecoder:
    """Takes a disk's download in pieces of any size; a context manager that ends the helper threads.

    Memory stays within some MiB, plus 8 bytes for each 64 KiB of a stream-optimized disk that hold data.
    """

    def __init__(
        self,
        sink_fd: int,
        expected_capacity: int | None = None,
        *,
        largest: int = _LARGEST_DISK,
        threads: int = _THREADS,
    ) -> None:
        """Decode to the file behind ``sink_fd``, which is emptied and stays the caller's to close.

        Args:
            expected_capacity: size of the disk in bytes as the inventory says, to check against.
            largest: bytes; a larger disk is refused.
            threads: how many inflate beside the caller.
        """
        self._scratch = SparseFile(sink_fd)
        self._expected = expected_capacity
        self._largest = largest
        self._threads = threads
        self._head = bytearray()
        self._body: _Body | None = None
        self._format = StreamFormat.RAW
        self._bytes_in = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def bytes_in(self) -> int:
        """Bytes taken so far."""
        return self._bytes_in

    def feed(self, chunk: bytes | memoryview) -> None:
        """Take the next bytes of the download.

        Raises:
            StreamError: they are damaged, or not the disk that is expected; a new download can help.
            ScratchFullError: no space left.
            DiskError: a disk that is too large or of an unknown version.
        """
        self._bytes_in += len(chunk)
        if self._body is not None:
            self._body.feed(chunk)
            return
        self._head += chunk
        if len(self._head) >= SECTOR:
            self._begin().feed(bytes(self._head))
            self._head.clear()

    def finish(self) -> StreamResult:
        """The download is over and, as far as the transport knows, whole.

        Raises:
            StreamError: it is not.
            ScratchFullError: no space left.
        """
        body = self._body
        if body is None:
            if not self._head:
                raise StreamError("the download is empty")
            body = self._begin()
            body.feed(bytes(self._head))
        body.finish()
        if self._expected is not None and body.capacity != self._expected:
            raise StreamError(f"the download holds {body.capacity} bytes of disk, not {self._expected}")
        self.close()
        return StreamResult(body.capacity, self._bytes_in, body.written, self._format)

    def close(self) -> None:
        """End the helper threads; a second call does nothing."""
        if self._body is not None:
            self._body.close()

    def _begin(self) -> _Body:
        """Tell by the first sector what arrives."""
        header = parse_header(bytes(self._head))
        capacity = self._expected if header is None else header.capacity * SECTOR
        if capacity is not None and capacity > self._largest:
            raise DiskError(
                f"a disk of {capacity} bytes, where at most {self._largest} are allowed",
                "vSphere makes no disk larger than 62 TiB: what arrived is damaged",
            )
        if header is None:
            self._body = _PlainBody(self._scratch, self._expected or self._largest)
        elif streamable(header):
            self._format = StreamFormat.STREAM_OPTIMIZED
            self._body = OptimizedDecoder(header, self._scratch, self._threads)
        else:
            self._format = StreamFormat.SPARSE
            self._body = _PlainBody(self._scratch, self._largest, capacity)
        return self._body
