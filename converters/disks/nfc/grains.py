"""Grains, the compressed units of a stream-optimized VMDK, inflated and written beside the download."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

from isal import isal_zlib

from converters.disks.scratch import SparseFile
from converters.errors import StreamError

_BATCH_GRAINS = 16
_BATCH_BYTES = 512 << 10
_MOST_BATCHES = 6
"""Batches in flight: with the above they bound the memory to about 3 MiB of compressed grains."""

Grain = tuple[int, bytes]
"""Offset on the disk in bytes, and zlib data."""


def inflate(data: bytes, size: int, offset: int) -> bytes:
    """The ``size`` bytes of the grain at ``offset``; a longer one is cut, up to a whole grain.

    Raises:
        StreamError: damaged, or inflating to another size than a grain's.
    """
    engine = isal_zlib.decompressobj()
    try:
        grain: bytes = engine.decompress(data, size + 1)
    except isal_zlib.IsalError as error:  # type: ignore[misc]  # its stub says Exception, not type[Exception]
        raise StreamError(f"the compressed data at disk byte {offset} arrived damaged: {error}") from error
    if len(grain) != size or not engine.eof or engine.unused_data.strip(b"\0"):
        raise StreamError(f"the compressed data at disk byte {offset} does not inflate to {size} bytes")
    return grain


def inflate_grain(data: bytes, grain: int, remaining: int, offset: int) -> bytes:
    """The grain at ``offset``, of ``grain`` bytes, or of those that are ``remaining`` up to the disk's end.

    Raises:
        StreamError: damaged, or inflating to another size.
    """
    if remaining >= grain:
        return inflate(data, grain, offset)
    # The last grain of a disk that is no multiple of one is whole in some images and cut short in others.
    try:
        return inflate(data, grain, offset)[:remaining]
    except StreamError:
        return inflate(data, remaining, offset)


class GrainWriter:
    """Threads that inflate grains in batches; a grain of zeros stays a hole.

    Errors of a batch are raised by a later ``put`` or by ``finish``. Grains must not overlap: batches are
    written in any order.
    """

    def __init__(self, scratch: SparseFile, grain: int, capacity: int, threads: int) -> None:
        """Sizes in bytes."""
        self._scratch = scratch
        self._grain = grain
        self._capacity = capacity
        self._batch: list[Grain] = []
        self._batch_bytes = 0
        self._running: deque[Future[int]] = deque()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="inflate")
        self.written = 0

    def put(self, offset: int, data: bytes) -> None:
        """Take the grain of disk byte ``offset``.

        Raises:
            StreamError: an earlier grain is damaged.
            ScratchFullError: no space left.
        """
        self._batch.append((offset, data))
        self._batch_bytes += len(data)
        if len(self._batch) >= _BATCH_GRAINS or self._batch_bytes >= _BATCH_BYTES:
            self._submit()

    def finish(self) -> None:
        """Wait until everything is written.

        Raises:
            StreamError: a grain is damaged.
            ScratchFullError: no space left.
        """
        self._submit()
        while self._running:
            self.written += self._running.popleft().result()

    def replace(self, offset: int, data: bytes) -> None:
        """Write another grain over the one at ``offset``; after ``finish``."""
        self.written += self._scratch.overwrite(
            inflate_grain(data, self._grain, self._capacity - offset, offset), offset
        )

    def close(self) -> None:
        """End the threads; a second call does nothing."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _submit(self) -> None:
        if not self._batch:
            return
        if len(self._running) >= _MOST_BATCHES:
            self.written += self._running.popleft().result()
        self._running.append(self._pool.submit(self._write, self._batch))
        self._batch, self._batch_bytes = [], 0

    def _write(self, batch: list[Grain]) -> int:
        return sum(
            self._scratch.write(inflate_grain(data, self._grain, self._capacity - offset, offset), offset)
            for offset, data in batch
        )
