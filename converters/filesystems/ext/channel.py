"""The way of libext2fs to a ``Disk``: an I/O channel over a range of its bytes."""

from __future__ import annotations

import ctypes
import errno

from converters.disks.base import Disk
from converters.errors import FilesystemError
from converters.filesystems.cached import SCATTERED_CHUNK, CachedRange
from converters.filesystems.ext import library
from converters.filesystems.memory import Memory


class Channel:
    """A range of bytes of a disk, as the library and the parsers read it.

    An exception cannot pass through C, so a callback keeps it in ``failure`` and gives the library an error
    code; ``check`` raises it again on the other side.
    """

    def __init__(self, disk: Disk, start: int, size: int, memory: Memory) -> None:
        self._tables = CachedRange(disk, start, size, memory)
        self._scattered = CachedRange(disk, start, size, memory, SCATTERED_CHUNK)
        self._content = CachedRange(disk, start, size, memory.passing)
        self._failure: BaseException | None = None
        self._block_size = 1024
        # The library keeps pointers into both structures until ext2fs_free.
        self._manager = library.IoManager(
            magic=library.MAGIC_IO_MANAGER,
            name=b"disk",
            open=library.OPEN(self._on_open),
            close=library.CLOSE(lambda _: 0),
            set_blksize=library.SET_BLOCK_SIZE(self._on_block_size),
            read_blk=library.READ_BLOCKS(self._on_read),
            read_blk64=library.READ_BLOCKS_64(self._on_read),
        )
        self._channel = library.IoChannel(
            magic=library.MAGIC_IO_CHANNEL,
            manager=ctypes.pointer(self._manager),
            block_size=self._block_size,
            refcount=1,
        )

    @property
    def manager(self) -> ctypes._Pointer[library.IoManager]:
        """What ``ext2fs_open2`` takes."""
        return ctypes.pointer(self._manager)

    def metadata(self, length: int, offset: int) -> bytes:
        """``length`` bytes of a directory or a map, at ``offset`` from the start of the range.

        Raises:
            FilesystemError: the bytes lie outside the range.
            DiskError: the disk cannot give them.
        """
        return self._scattered.read(length, offset)

    def content(self, length: int, offset: int) -> bytes:
        """The same for bytes of files; raises the same."""
        return self._content.read(length, offset)

    def check(self, code: int, what: str) -> None:
        """Raise what a library call that returned ``code`` met; ``what`` it was doing.

        Raises:
            FilesystemError: the library refuses what it read.
            DiskError: the disk could not be read, or whatever else the disk raised.
        """
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        if code:
            raise FilesystemError(f"{what}: {library.message(code)}")

    def close(self) -> None:
        """Forget what was read; the library must have let go of the channel before."""
        for part in (self._tables, self._scattered, self._content):
            part.clear()
        # The callbacks hold this object, and would keep it until the next collection of cycles.
        self._manager = library.IoManager()
        self._channel = library.IoChannel()

    def _on_open(self, name: bytes, flags: int, channel: ctypes._Pointer[ctypes.c_void_p]) -> int:
        channel[0] = ctypes.addressof(self._channel)
        return 0

    def _on_block_size(self, channel: int, size: int) -> int:
        self._channel.block_size = self._block_size = size
        return 0

    def _on_read(self, channel: int, block: int, count: int, destination: int) -> int:
        try:
            # A negative count is in bytes (ext2_io.h).
            length = -count if count < 0 else count * self._block_size
            ctypes.memmove(destination, self._tables.read(length, block * self._block_size), length)
        except BaseException as failure:
            self._failure = failure
            return errno.EIO
        return 0
