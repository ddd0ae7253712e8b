"""A file system by inode number: inodes, maps and data, every checksum verified."""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from converters.disks.base import Disk
from converters.errors import FilesystemError
from converters.filesystems.base import Kind
from converters.filesystems.cached import zeros
from converters.filesystems.ext import inode as inodes
from converters.filesystems.ext import library, mapping, superblock
from converters.filesystems.ext.channel import Channel
from converters.filesystems.ext.inode import Inode
from converters.filesystems.ext.system_zones import SystemZones, group_zones
from converters.filesystems.memory import Cache, Memory

ROOT = 2
"""The root directory's inode number."""
LARGEST_CHUNK = 4 << 20
"""Bytes of the longest piece of data given at once."""
_NO_BLOCK_MAP = inodes.EXTENTS | inodes.INLINE_DATA
_INODE_BYTES = 900
"""Decoded inodes kept, so that reading a file just after its entry was given costs no second look: 3 MiB."""


class ByteRun(NamedTuple):
    """A stretch of a file that lies in one piece on the disk. All three are bytes."""

    logical: int
    """Offset in the file."""
    offset: int
    """Offset on the ``Disk``, not in the volume."""
    length: int


class Metadata:
    """An open file system on ``size`` bytes of ``disk`` from ``start``; ``close`` releases it, not the disk.

    Raises:
        FilesystemError: no ext file system, damaged, or longer than ``size``.
        UnsupportedError: a feature that nobody here understands, by its name.
        DiskError: the disk cannot be read.
    """

    def __init__(self, disk: Disk, start: int, size: int, memory: Memory) -> None:
        self.library = library.load()
        self.channel = Channel(disk, start, size, memory)
        self._handle = ctypes.c_void_p()
        try:
            self.superblock = self._open(size)
        except BaseException:
            self.channel.close()
            raise
        self._start = start
        self._raw = ctypes.create_string_buffer(self.superblock.inode_size)
        self._inodes: Cache[int, Inode] = memory.cache()
        self._verified_groups: set[int] = set()
        self._zones: SystemZones | None = None

    def _open(self, size: int) -> superblock.Superblock:
        head = superblock.parse(self.channel.metadata(superblock.SIZE, superblock.OFFSET))
        length = head.blocks * head.block_size
        if length > size:
            raise FilesystemError(f"the file system is {length} bytes long, its volume only {size}")
        code = self.library.ext2fs_open2(
            b"", None, library.FLAG_64BITS, 0, 0, self.channel.manager, ctypes.byref(self._handle)
        )
        self.channel.check(code, "the file system cannot be opened")
        return head

    def close(self) -> None:
        """Release the library's handle; a second call does nothing."""
        handle, self._handle = self._handle, ctypes.c_void_p()
        if handle:
            self.library.ext2fs_free(handle)
        self.channel.close()
        self._inodes.clear()

    @property
    def handle(self) -> ctypes.c_void_p:
        """What the library's functions take first, all of which trust it.

        Raises:
            ValueError: closed.
        """
        if not self._handle:
            raise ValueError("the file system is closed")
        return self._handle

    def inode(self, number: int) -> Inode:
        """The inode ``number``.

        Raises:
            FilesystemError: not in use, damaged, or outside the table.
        """
        known = self._inodes.get(number)
        if known is not None:
            return known
        geometry = self.superblock
        if number > geometry.inodes or (number < geometry.first_inode and number != ROOT):
            raise FilesystemError(f"a name leads to inode {number}, which can have none")
        return self._inodes.put(number, self._decoded(number), _INODE_BYTES)

    def _decoded(self, number: int) -> Inode:
        geometry = self.superblock
        self._verify_group((number - 1) // geometry.inodes_per_group)
        code = self.library.ext2fs_read_inode_full(self.handle, number, self._raw, geometry.inode_size)
        self.channel.check(code, f"inode {number} cannot be read")
        inode = inodes.decode(self._raw.raw, number, geometry)
        self._check_pointers(inode)
        return inode

    def runs(self, inode: Inode) -> Iterator[mapping.Run]:
        """The written blocks of an inode without inline data, in order and inside the file system.

        Raises:
            FilesystemError: the map is damaged.
        """
        geometry = self.superblock
        try:
            if inode.flags & inodes.EXTENTS:
                runs = mapping.extents(inode.block, self.block, self._extent_verifier(inode.number))
            else:
                blocks = -(-inode.size // geometry.block_size)
                runs = mapping.block_map(inode.block, blocks, geometry.block_size, self.block)
            for run in runs:
                self.check_range(run.physical, run.blocks)
                yield run
        except FilesystemError as error:
            raise FilesystemError(f"inode {inode.number}: {error.message}") from error

    def byte_runs(self, inode: Inode) -> Iterator[ByteRun]:
        """``runs`` in bytes of the disk, none beyond the file's end."""
        size = self.superblock.block_size
        for run in self.runs(inode):
            logical = run.logical * size
            if logical >= inode.size:
                return
            length = min(run.blocks * size, inode.size - logical)
            yield ByteRun(logical, self._start + run.physical * size, length)

    def chunks(self, inode: Inode) -> Iterable[bytes]:
        """The data of an inode without inline data, ``inode.size`` bytes in all, holes as zeros.

        Raises:
            FilesystemError: the map is damaged.
            DiskError: the disk cannot be read.
        """
        size, geometry = inode.size, self.superblock
        if 0 < size <= LARGEST_CHUNK and inode.flags & inodes.EXTENTS:
            run = mapping.only_extent(inode.block)
            if (
                run is not None
                and run.blocks * geometry.block_size >= size
                and geometry.first_data_block < run.physical <= geometry.blocks - run.blocks
            ):
                return (self.channel.content(size, run.physical * geometry.block_size),)
        return self._chunks(inode)

    def _chunks(self, inode: Inode) -> Iterator[bytes]:
        position = 0
        for logical, offset, length in self.byte_runs(inode):
            if logical > position:
                yield from zeros(logical - position)
            for done in range(0, length, LARGEST_CHUNK):
                count = min(length - done, LARGEST_CHUNK)
                yield self.channel.content(count, offset - self._start + done)
            position = logical + length
        if position < inode.size:
            yield from zeros(inode.size - position)

    def block(self, number: int) -> bytes:
        """One block of metadata by its number.

        Raises:
            FilesystemError: outside the file system.
        """
        self.check_range(number)
        size = self.superblock.block_size
        return self.channel.metadata(size, number * size)

    def check_range(self, block: int, count: int = 1) -> None:
        """Refuse blocks that no inode can own, as ``ext4_inode_block_valid`` does.

        Raises:
            FilesystemError: they are outside the file system, or hold its own structures.
        """
        if block <= self.superblock.first_data_block or block + count > self.superblock.blocks:
            raise FilesystemError(f"disk block {block} lies outside the file system")
        if (self._zones or self._find_zones()).meet(block, count):
            raise FilesystemError(f"disk block {block} holds the file system's own structures")

    def _find_zones(self) -> SystemZones:
        zones = list(group_zones(self.library, self.handle, self.superblock))
        self._zones = SystemZones(zones)
        if self.superblock.journal:
            journal = self.runs(self._decoded(self.superblock.journal))
            zones += [(run.physical, run.physical + run.blocks) for run in journal]
            self._zones = SystemZones(zones)
        return self._zones

    def _check_pointers(self, inode: Inode) -> None:
        """Refuse wild block numbers beyond a file's end too, as ``ext4_ind_check_inode`` does."""
        if inode.flags & _NO_BLOCK_MAP or inode.kind not in (Kind.FILE, Kind.DIRECTORY):
            return
        try:
            for pointer in filter(None, array("I", inode.block)):
                self.check_range(pointer)
        except FilesystemError as error:
            raise FilesystemError(f"inode {inode.number}: {error.message}") from error

    def _extent_verifier(self, number: int) -> mapping.Verify:
        verify = self.library.ext2fs_extent_block_csum_verify
        return lambda block: bool(verify(self.handle, number, block))

    def _verify_group(self, group: int) -> None:
        """Check the descriptor that says where the inode table is, which the library itself does not."""
        if group not in self._verified_groups:
            if not self.library.ext2fs_group_desc_csum_verify(self.handle, group):
                raise FilesystemError(f"wrong checksum in the descriptor of block group {group}")
            self._verified_groups.add(group)
