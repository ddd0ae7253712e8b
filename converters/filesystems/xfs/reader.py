"""``Filesystem`` over XFS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

from converters.disks.base import Disk
from converters.errors import FilesystemError, UnsupportedError
from converters.filesystems.base import Entry, Kind
from converters.filesystems.inode_walk import InodeFilesystem
from converters.filesystems.memory import Memory
from converters.filesystems.xfs import checksum, directory, log
from converters.filesystems.xfs import inode as inodes
from converters.filesystems.xfs.attributes import Attributes
from converters.filesystems.xfs.inode import Format, Inode
from converters.filesystems.xfs.metadata import Metadata

_LONGEST_TARGET = 1024
"""``XFS_SYMLINK_MAXLEN``."""
_TARGET_MAGIC = b"XSLM"
_TARGET_HEADER = 56
_TARGET_CHECKSUM, _TARGET_UUID, _TARGET_OWNER = 12, slice(16, 32), slice(32, 40)


class XfsFilesystem(InodeFilesystem[Inode]):
    """XFS of version 4 or 5 on ``size`` bytes of ``disk`` from byte ``start``, or up to the disk's end.

    A context manager. The disk stays the caller's, who closes it after the file system. What is read is what
    lies there: ask ``needs_recovery`` whether the log holds something newer.

    Raises:
        FilesystemError: no XFS, or damaged.
        UnsupportedError: a feature that nobody here understands, by its name.
        DiskError: the disk cannot be read.
    """

    def __init__(
        self, disk: Disk, start: int = 0, size: int | None = None, memory: Memory | None = None
    ) -> None:
        memory = memory or Memory()
        self._metadata = Metadata(disk, start, disk.size - start if size is None else size, memory)
        self._attributes = Attributes(self._metadata)
        super().__init__(self._metadata.superblock.root, memory)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def type(self) -> str:
        """As blkid(8) says it."""
        return "xfs"

    @property
    def has_errors(self) -> bool:
        """XFS marks no damage that it met; what ``xfs_admin`` marks for repair is refused by name."""
        return False

    @property
    def needs_recovery(self) -> bool:
        """Whether the log holds changes that are not in place yet: reading now gives an older state."""
        return log.is_dirty(self._metadata)

    def close(self) -> None:
        """Forget what was read; the disk stays open. A second call does nothing."""
        self._metadata.close()
        self._listings.clear()

    def read(self, entry: Entry) -> Iterator[bytes]:
        """The bytes of a regular file in chunks of at most 4 MiB, holes as zeros: ``entry.size`` in all."""
        inode = self._metadata.inode(entry.inode)
        if inode.kind is not Kind.FILE:
            raise FilesystemError(f"inode {entry.inode} is no regular file, so it has no bytes to read")
        self._check_readable(inode, entry.path)
        return self._metadata.chunks(inode)

    def _inode(self, number: int) -> Inode:
        return self._metadata.inode(number)

    def _names(self, inode: Inode) -> Iterator[directory.Name]:
        return directory.names(self._metadata, inode)

    def _xattrs(self, inode: Inode) -> tuple[tuple[bytes, bytes], ...]:
        return self._attributes.of(inode)

    def _check_readable(self, inode: Inode, path: bytes) -> None:
        if inode.flags & inodes.REALTIME and inode.kind is Kind.FILE:
            name = path.decode(errors="backslashreplace")
            raise UnsupportedError(f"/{name} lies on the realtime device of XFS, which is not on this disk")

    def _target(self, inode: Inode) -> bytes:
        if not 0 < inode.size <= _LONGEST_TARGET:
            raise FilesystemError(f"symbolic link inode {inode.number} is {inode.size} bytes long")
        if inode.data.format is Format.LOCAL:
            target = inode.data.area[: inode.size]
        else:
            target = self._remote_target(inode)
        if len(target) != inode.size or b"\0" in target:
            raise FilesystemError(f"symbolic link inode {inode.number} is damaged")
        return target

    def _remote_target(self, inode: Inode) -> bytes:
        """A target in blocks of its own; each run of them says in version 5 what it is."""
        superblock = self._metadata.superblock
        if not superblock.has_checksums:
            return b"".join(self._metadata.chunks(inode))
        target = b""
        most = _LONGEST_TARGET * superblock.block_size
        for _, run in self._metadata.pieces(inode, inode.data, most):
            length = int.from_bytes(run[8:12], "big")
            sound = (
                run[:4] == _TARGET_MAGIC
                and int.from_bytes(run[_TARGET_OWNER], "big") == inode.number
                and run[_TARGET_UUID] == superblock.uuid
                and length <= len(run) - _TARGET_HEADER
                and checksum.is_right(run, _TARGET_CHECKSUM)
            )
            if not sound:
                raise FilesystemError(f"symbolic link inode {inode.number} is damaged")
            target += run[_TARGET_HEADER : _TARGET_HEADER + length]
        return target
