"""``Filesystem`` over ext2, ext3 and ext4."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Self

from converters.disks.base import Disk
from converters.errors import FilesystemError, UnsupportedError
from converters.filesystems.base import Entry, Kind
from converters.filesystems.ext import directory
from converters.filesystems.ext import inode as inodes
from converters.filesystems.ext.attributes import Attributes
from converters.filesystems.ext.inode import Inode
from converters.filesystems.ext.metadata import ROOT, ByteRun, Metadata
from converters.filesystems.inode_walk import InodeFilesystem
from converters.filesystems.memory import Memory

_LONGEST_TARGET = 4096
_MOST_REMEMBERED = 20
"""Paths of one kind that notes name."""


class ExtFilesystem(InodeFilesystem[Inode]):
    """ext2, ext3 or ext4 on ``size`` bytes of ``disk`` from byte ``start``, or up to the disk's end.

    A context manager. The disk stays the caller's, who closes it after the file system. What is read is what
    lies there: ask ``needs_recovery`` whether the journal holds something newer.

    Raises:
        FilesystemError: no ext file system, or damaged.
        UnsupportedError: a feature that nobody here understands, by its name.
        DiskError: the disk cannot be read.
    """

    def __init__(
        self, disk: Disk, start: int = 0, size: int | None = None, memory: Memory | None = None
    ) -> None:
        memory = memory or Memory()
        super().__init__(ROOT, memory)
        self._metadata = Metadata(disk, start, disk.size - start if size is None else size, memory)
        self._attributes = Attributes(self._metadata, memory.cache())
        self._encrypted: dict[int, bytes] = {}
        self._sealed: dict[int, bytes] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def type(self) -> str:
        """``ext2``, ``ext3`` or ``ext4``: the oldest that has the features in use."""
        return self._metadata.superblock.type

    @property
    def needs_recovery(self) -> bool:
        """Whether the journal holds changes that are not in place yet: reading now gives an older state."""
        return self._metadata.superblock.needs_recovery

    @property
    def external_journal(self) -> str:
        """UUID of the other device that holds the journal; empty when it is inside, or there is none."""
        return self._metadata.superblock.external_journal

    @property
    def has_errors(self) -> bool:
        """Whether the guest's kernel found damage that no e2fsck(8) has repaired since."""
        return self._metadata.superblock.has_errors

    @property
    def notes(self) -> tuple[str, ...]:
        """See ``Remarking``."""
        said = (
            (
                self._encrypted,
                "encrypted (fscrypt): its key is not on the disk, and what it holds is left out",
            ),
            (self._sealed, "sealed (fs-verity): its bytes are read, and the seal is not kept"),
        )
        return tuple(note for paths, what in said for note in _listed(paths.values(), what))

    def close(self) -> None:
        """Release the file system, not the disk; a second call does nothing."""
        self._metadata.close()
        self._listings.clear()

    def read(self, entry: Entry) -> Iterator[bytes]:
        """The bytes of a regular file in chunks of at most 4 MiB, holes as zeros: ``entry.size`` in all."""
        inode = self._file(entry)
        if inode.flags & inodes.INLINE_DATA:
            return iter((self._attributes.inline(inode),) if inode.size else ())
        return iter(self._metadata.chunks(inode))

    def runs(self, entry: Entry) -> Iterator[ByteRun] | None:
        """Where on the disk the bytes of a regular file are, in order, none beyond its end.

        What lies between is zeros: holes and what was reserved and never written. None when the bytes are not
        in blocks of their own (inline data).
        """
        inode = self._file(entry)
        return None if inode.flags & inodes.INLINE_DATA else self._metadata.byte_runs(inode)

    def _inode(self, number: int) -> Inode:
        return self._metadata.inode(number)

    def _names(self, inode: Inode) -> Iterator[directory.Name]:
        if inode.flags & inodes.ENCRYPTED:
            return iter(())  # its names are ciphertext
        return directory.names(self._metadata, self._attributes, inode)

    def _xattrs(self, inode: Inode) -> tuple[tuple[bytes, bytes], ...]:
        return self._attributes.of(inode)

    def _target(self, inode: Inode) -> bytes:
        if not 0 < inode.size <= _LONGEST_TARGET:
            raise FilesystemError(f"symbolic link inode {inode.number} is {inode.size} bytes long")
        if inode.is_fast_symlink(self._metadata.superblock):
            target = inode.block[: inode.size]
        elif inode.flags & inodes.INLINE_DATA:
            target = self._attributes.inline(inode)
        else:
            target = b"".join(self._metadata.chunks(inode))
        if len(target) != inode.size or b"\0" in target:
            raise FilesystemError(f"symbolic link inode {inode.number} is damaged")
        return target

    def _file(self, entry: Entry) -> Inode:
        inode = self._metadata.inode(entry.inode)
        if inode.kind is not Kind.FILE:
            raise FilesystemError(f"inode {entry.inode} is no regular file, so it has no bytes to read")
        self._check_readable(inode, entry.path)
        return inode

    def _entry(self, path: bytes, inode: Inode) -> Entry:
        entry = super()._entry(path, inode)
        if inode.flags & inodes.ENCRYPTED:
            _keep(self._encrypted, inode, path)
        elif inode.flags & inodes.VERITY:
            _keep(self._sealed, inode, path)
        return entry

    def _check_readable(self, inode: Inode, path: bytes) -> None:
        if not inode.flags & (inodes.ENCRYPTED | inodes.EA_INODE):
            return
        name = path.decode(errors="backslashreplace")
        if inode.flags & inodes.EA_INODE:
            raise FilesystemError(f"/{name} is the value of an extended attribute, not a file")
        if inode.kind is not Kind.DIRECTORY:
            raise UnsupportedError(f"/{name} is encrypted (fscrypt), and its key is not on the disk")


def _keep(paths: dict[int, bytes], inode: Inode, path: bytes) -> None:
    """Remember a path by its inode, as long as there is room."""
    if len(paths) <= _MOST_REMEMBERED:
        paths.setdefault(inode.number, path)


def _listed(paths: Iterable[bytes], what: str) -> Iterator[str]:
    for number, path in enumerate(paths):
        if number == _MOST_REMEMBERED:
            yield f"More than these {_MOST_REMEMBERED} are {what}."
            return
        else:
            yield f"/{path.decode(errors='backslashreplace')} is {what}."
