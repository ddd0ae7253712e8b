"""XFS by inode number: inodes and the content of their forks, every checksum verified."""

from __future__ import annotations

from collections.abc import Iterator

from converters.disks.base import Disk
from converters.errors import FilesystemError
from converters.filesystems.cached import CachedRange, zeros
from converters.filesystems.memory import Cache, Memory
from converters.filesystems.xfs import inode as inodes
from converters.filesystems.xfs import mapping, superblock
from converters.filesystems.xfs.inode import Fork, Inode

LARGEST_CHUNK = 4 << 20
"""Bytes of the longest piece of data given at once."""
_INODE_BYTES = 900
"""Decoded inodes kept, so that reading a file just after its entry was given costs no second look: 4 MiB."""


class Metadata:
    """An XFS on ``size`` bytes of ``disk`` from ``start``.

    Raises:
        FilesystemError: no XFS, damaged, or longer than ``size``.
        UnsupportedError: a feature that nobody here understands, by its name.
        DiskError: the disk cannot be read.
    """

    def __init__(self, disk: Disk, start: int, size: int, memory: Memory) -> None:
        self.range = CachedRange(disk, start, size, memory)
        self.superblock = superblock.parse(self.range.read(min(superblock.LARGEST_SECTOR, size), 0))
        length = self.superblock.blocks * self.superblock.block_size
        if length > size:
            raise FilesystemError(f"the file system is {length} bytes long, its volume only {size}")
        self._inodes: Cache[int, Inode] = memory.cache()

    def close(self) -> None:
        """Forget what was read; a second call does nothing."""
        self.range.clear()
        self._inodes.clear()

    def inode(self, number: int) -> Inode:
        """The inode ``number``.

        Raises:
            FilesystemError: not in use, damaged, or outside the file system.
        """
        known = self._inodes.get(number)
        if known is not None:
            return known
        geometry = self.superblock
        raw = self.range.read(geometry.inode_size, geometry.inode_offset(number))
        inode = inodes.decode(raw, number, geometry)
        return self._inodes.put(number, inode, _INODE_BYTES)

    def runs(self, inode: Inode, fork: Fork) -> Iterator[mapping.Run]:
        """The runs of one of the inode's forks. Raises ``FilesystemError``: damaged."""
        return mapping.runs(fork, inode.number, self.superblock, self.block)

    def pieces(self, inode: Inode, fork: Fork, end: int) -> Iterator[tuple[int, bytes]]:
        """What a fork holds before byte ``end``, each piece with its offset in the fork; holes are left out.

        Raises:
            FilesystemError: damaged.
            DiskError: the disk cannot be read.
        """
        size = self.superblock.block_size
        for run in self.runs(inode, fork):
            first = run.logical * size
            if first >= end:
                return
            if not run.is_written:
                continue
            length, offset = min(run.blocks * size, end - first), self.superblock.block_offset(run.physical)
            for done in range(0, length, LARGEST_CHUNK):
                count = min(length - done, LARGEST_CHUNK)
                yield first + done, self.range.read(count, offset + done)

    def chunks(self, inode: Inode) -> Iterator[bytes]:
        """The data of an inode, ``inode.size`` bytes in all, holes as zeros.

        Raises:
            FilesystemError: damaged.
            DiskError: the disk cannot be read.
        """
        position = 0
        for offset, piece in self.pieces(inode, inode.data, inode.size):
            yield from zeros(offset - position)
            yield piece
            position = offset + len(piece)
        yield from zeros(inode.size - position)

    def block(self, number: int) -> bytes:
        """One block of metadata by its number. Raises ``FilesystemError``: outside the file system."""
        return self.range.read(self.superblock.block_size, self.superblock.block_offset(number))
