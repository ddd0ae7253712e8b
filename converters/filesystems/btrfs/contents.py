"""The bytes of files on btrfs: extents, their compression, and the checksums of data."""

from __future__ import annotations

from collections.abc import Iterator

from converters.errors import FilesystemError
from converters.filesystems.btrfs import items
from converters.filesystems.btrfs.checksum import Checksum
from converters.filesystems.btrfs.compression import LARGEST, Compression, decompress
from converters.filesystems.btrfs.items import Extent, Inode
from converters.filesystems.btrfs.pool import Pool
from converters.filesystems.btrfs.sums import Sums
from converters.filesystems.btrfs.tree import LAST, Items
from converters.filesystems.cached import zeros

_NO_CHECKSUMS = 0x1
"""Flag of an inode whose data have none (``BTRFS_INODE_NODATASUM``)."""
_CHUNK = 1 << 20
"""Bytes read and verified at once: they stay in the processor's cache."""


class Contents:
    """Reads files of one file system."""

    def __init__(self, pool: Pool, expected: Sums, used: Checksum, sector: int) -> None:
        self._pool = pool
        self._expected = expected
        self._checksum = used
        self._sector = sector
        self._last: tuple[tuple[int, int, int, bool], bytes] | None = None

    def clear(self) -> None:
        """Forget what was read."""
        self._last = None

    def chunks(self, tree: Items, objectid: int, inode: Inode) -> Iterator[bytes]:
        """The data of an inode of ``tree``, ``inode.size`` bytes in all, holes as zeros.

        Raises:
            FilesystemError: damaged: also where the kernel gives EIO for a wrong checksum.
            DiskError: a disk cannot be read.
        """
        position = 0
        low, high = (objectid, items.EXTENT_DATA, 0), (objectid, items.EXTENT_DATA, LAST)
        for item in tree.items(low, high):
            extent = items.extent(item)
            if extent.start < position:
                raise FilesystemError(f"inode {objectid}: its extents overlap at {extent.start}")
            if extent.start >= inode.size:
                break
            yield from zeros(extent.start - position)
            length = min(extent.length, inode.size - extent.start)
            yield from self._extent(extent, length, not inode.flags & _NO_CHECKSUMS)
            position = extent.start + length
        yield from zeros(inode.size - position)

    def _extent(self, extent: Extent, length: int, verified: bool) -> Iterator[bytes]:
        """The first ``length`` bytes of a piece of a file."""
        if extent.inline is not None:
            content = extent.inline
            if extent.compression != Compression.NONE:
                content = decompress(extent.compression, content, extent.size, self._sector)
            yield content[:length]
        elif not extent.address or not extent.is_written:
            yield from zeros(length)
        elif extent.compression == Compression.NONE:
            if extent.offset + extent.length > extent.stored:
                raise FilesystemError(f"an extent of btrfs at {extent.address} ends before its file does")
            for done in range(0, length, _CHUNK):
                count = min(_CHUNK, length - done)
                yield self._stored(extent.address + extent.offset + done, count, verified)
        else:
            yield self._decompressed(extent, verified)[extent.offset : extent.offset + length]

    def _decompressed(self, extent: Extent, verified: bool) -> bytes:
        """A whole compressed extent; the last is kept, as files that share it or wrote into it ask again."""
        key = (extent.address, extent.stored, extent.compression, verified)
        if self._last is None or self._last[0] != key or len(self._last[1]) != extent.size:
            if max(extent.stored, extent.size) > LARGEST:
                raise FilesystemError(f"a compressed extent of btrfs claims {extent.size} bytes")
            data = self._stored(extent.address, extent.stored, verified)
            self._last = key, decompress(extent.compression, data, extent.size, self._sector)
        return self._last[1]

    def _stored(self, address: int, length: int, verified: bool) -> bytes:
        """``length`` bytes as they lie at a logical address, by the first copy whose checksums are right."""
        whole = -(-length // self._sector) * self._sector
        if not verified:
            return next(self._pool.copies(whole, address))[:length]
        expected = self._expected.of(address, whole)
        for data in self._pool.copies(whole, address):
            if self._sums(data) == expected:
                return data[:length]
        # Copies may be damaged in different places.
        size = self._checksum.size
        sectors = [
            self._one(address + place, expected[index * size : (index + 1) * size])
            for index, place in enumerate(range(0, whole, self._sector))
        ]
        return b"".join(sectors)[:length]

    def _one(self, address: int, expected: bytes) -> bytes:
        for data in self._pool.copies(self._sector, address):
            if self._sums(data) == expected:
                return data
        raise FilesystemError(f"wrong checksum of data on btrfs at {address}: reading it is an error")

    def _sums(self, data: bytes) -> bytes:
        sector, of = self._sector, self._checksum.of
        return b"".join([of(data[place : place + sector]) for place in range(0, len(data), sector)])
