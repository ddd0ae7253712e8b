"""A range of a disk with a small cache, as the readers in process want it."""

from __future__ import annotations

from collections.abc import Iterator

from converters.disks.base import Disk
from converters.errors import DiskError, FilesystemError
from converters.filesystems.memory import Cache, Memory

CHUNK = 256 << 10
"""Bytes read at once. Metadata are read in blocks of 4 KiB, and small files of one directory lie together:
25,155 entries with 1.3 GB take 2,902 reads instead of 21,495, for 6 % more bytes."""
SCATTERED_CHUNK = 32 << 10
"""The same for what need not lie together, such as directories. A guest written file by file has them all
over the disk: its walk read 159 MB in whole chunks, and reads 54 MB in these."""
SMALL = 64 << 10
"""Bytes up to which a read goes through the cache."""
_ZEROS = bytes(1 << 20)


class CachedRange:
    """``size`` bytes of ``disk`` from ``start``; the disk stays the caller's."""

    def __init__(
        self, disk: Disk, start: int, size: int, memory: Memory | None = None, chunk: int = CHUNK
    ) -> None:
        """``memory`` is shared with others, by default with nobody; ``chunk`` bytes are read at once."""
        self.size = size
        self._chunk_size = chunk
        self._small = min(SMALL, chunk)
        self._disk = disk
        self._start = start
        self._chunks: Cache[int, bytes] = (memory or Memory()).cache()

    def read(self, length: int, offset: int) -> bytes:
        """``length`` bytes at ``offset`` from the start of the range.

        Raises:
            FilesystemError: the bytes lie outside the range.
            DiskError: the disk cannot give them.
        """
        if length <= self._small:
            index, begin = divmod(offset, self._chunk_size)
            end = begin + length
            if end <= self._chunk_size:
                chunk = self._chunk(index)
                if end <= len(chunk):
                    return chunk[begin:end]
        if offset < 0 or offset + length > self.size:
            raise FilesystemError(
                f"bytes {offset} to {offset + length} lie outside the volume of {self.size}"
            )
        data = self._disk.pread(length, self._start + offset)
        if len(data) != length:
            raise DiskError(f"the disk ends {length - len(data)} bytes before the file system in it")
        return data

    def clear(self) -> None:
        """Forget what was read."""
        self._chunks.clear()

    def _chunk(self, index: int) -> bytes:
        chunk = self._chunks.get(index)
        if chunk is not None:
            return chunk
        offset = index * self._chunk_size
        chunk = self._disk.pread(max(0, min(self._chunk_size, self.size - offset)), self._start + offset)
        return self._chunks.put(index, chunk, len(chunk))


def zeros(count: int) -> Iterator[bytes]:
    """``count`` zeros in pieces of at most 1 MiB: a hole of a file."""
    while count >= len(_ZEROS):
        yield _ZEROS
        count -= len(_ZEROS)
    if count:
        yield _ZEROS[:count]
