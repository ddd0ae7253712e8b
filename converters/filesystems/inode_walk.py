"""Walking and looking up in a file system whose directories lead from names to inode numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import ClassVar, Generic, Protocol, TypeVar

from converters.errors import FilesystemError
from converters.filesystems.base import Entry, Kind
from converters.filesystems.memory import Cache, Memory

_BATCH = 1024
"""Inodes of one directory read together in the order of their numbers, which is about that on the disk; the
entries are given in that of names."""
_NAME_BYTES = 150
"""Of memory, that a name of a directory looked into takes."""
_LARGEST_LISTED = 4 << 20
"""Bytes of a directory beyond which each look goes through it anew instead."""
_LONGEST_PATH = 65536
"""Bytes. Only a made-up tree goes deeper, and each of its paths would be kept and copied."""


class Node(Protocol):
    """What the walk needs of a decoded inode."""

    @property
    def number(self) -> int:
        """Its number."""

    @property
    def kind(self) -> Kind:
        """What it is."""

    @property
    def size(self) -> int:
        """Bytes, whatever the kind."""

    @property
    def mode(self) -> int:
        """Permission bits with setuid, setgid and sticky."""

    @property
    def uid(self) -> int:
        """Owner."""

    @property
    def gid(self) -> int:
        """Group."""

    @property
    def mtime_ns(self) -> int:
        """Nanoseconds since 1970."""

    @property
    def nlink(self) -> int:
        """Names that it has."""

    def device(self) -> tuple[int, int]:
        """Major and minor number."""


N = TypeVar("N", bound=Node)


class InodeFilesystem(ABC, Generic[N]):
    """The ``walk`` and ``lookup`` of a ``Filesystem``, over what a format's own reader gives."""

    _number_bytes: ClassVar[int] = 8
    """Bytes of the largest number of an inode."""

    def __init__(self, root: int, memory: Memory) -> None:
        """``root`` is the number of the root directory's inode; ``memory`` may be shared with others."""
        self._root = root
        self._listings: Cache[int, dict[bytes, int]] = memory.cache()

    @abstractmethod
    def _inode(self, number: int) -> N:
        """The inode. Raises ``FilesystemError``: not in use, or damaged."""

    @abstractmethod
    def _names(self, inode: N) -> Iterable[tuple[bytes, int]]:
        """What a directory holds, in any order, each with its inode's number; without ``.`` and ``..``."""

    @abstractmethod
    def _target(self, inode: N) -> bytes:
        """Where a symbolic link points. Raises ``FilesystemError``: damaged."""

    @abstractmethod
    def _xattrs(self, inode: N) -> tuple[tuple[bytes, bytes], ...]:
        """Extended attributes as getxattr(2) gives them. Raises ``FilesystemError``: damaged."""

    @abstractmethod
    def _check_readable(self, inode: N, path: bytes) -> None:
        """Raise ``UnsupportedError`` when the content of the inode at ``path`` cannot be read."""

    def walk(self, top: bytes = b"") -> Iterator[Entry]:
        """Every entry from ``top`` down, a directory before its content, its names in byte order.

        Raises:
            FilesystemError: damaged; also a directory that has two names.
            UnsupportedError: an entry that cannot be represented, by its path.
        """
        entry = self.lookup(top)
        if entry is None:
            return
        yield entry
        if entry.kind is not Kind.DIRECTORY:
            return
        seen = {entry.inode}
        levels = [self._children(entry)]
        while levels:
            for entry in levels[-1]:
                yield entry
                if entry.kind is Kind.DIRECTORY:
                    if entry.inode in seen:
                        raise FilesystemError(f"directory inode {entry.inode} is reached twice")
                    seen.add(entry.inode)
                    levels.append(self._children(entry))
                    break
            else:
                levels.pop()

    def lookup(self, path: bytes) -> Entry | None:
        """The entry at ``path`` without following symbolic links, or None where there is none."""
        inode = self._inode(self._root)
        for name in path.split(b"/") if path else ():
            if inode.kind is not Kind.DIRECTORY:
                return None
            self._check_readable(inode, path)
            number = self._find(inode, name)
            if number is None:
                return None
            inode = self._inode(number)
        return self._entry(path, inode)

    def _entry(self, path: bytes, inode: N) -> Entry:
        self._check_readable(inode, path)
        kind = inode.kind
        target = self._target(inode) if kind is Kind.SYMLINK else b""
        major, minor = inode.device() if kind is Kind.CHARACTER or kind is Kind.BLOCK else (0, 0)
        return Entry(
            path,
            kind,
            inode.mode,
            inode.uid,
            inode.gid,
            inode.size if kind is Kind.FILE else len(target),
            inode.mtime_ns,
            inode.number,
            inode.nlink,
            target,
            major,
            minor,
            self._xattrs(inode),
        )

    def _children(self, entry: Entry) -> Iterator[Entry]:
        prefix = entry.path + b"/" if entry.path else b""
        if len(prefix) > _LONGEST_PATH:
            raise FilesystemError(f"a path is longer than {_LONGEST_PATH} bytes")
        # One bytes object a name keeps a directory of a million names at 80 MiB. A name holds no NUL, so the
        # number behind one changes nothing in the order.
        length = self._number_bytes
        packed = sorted(
            name + b"\0" + number.to_bytes(length, "little")
            for name, number in self._names(self._inode(entry.inode))
        )
        names = iter(packed)
        previous = b""
        while batch := [
            (item[: -length - 1], int.from_bytes(item[-length:], "little")) for item in islice(names, _BATCH)
        ]:
            found = {number: self._inode(number) for number in sorted(number for _, number in batch)}
            for name, number in batch:
                if name == previous:
                    raise FilesystemError(f"directory inode {entry.inode} holds the name {name!r} twice")
                previous = name
                yield self._entry(prefix + name, found[number])

    def _find(self, inode: N, name: bytes) -> int | None:
        """The inode number behind ``name``; directories of usual size are kept for the next look."""
        listing = self._listings.get(inode.number)
        if listing is None:
            names = self._names(inode)
            if inode.size > _LARGEST_LISTED:
                return next((number for other, number in names if other == name), None)
            listing = dict(names)
            self._listings.put(inode.number, listing, _NAME_BYTES * (len(listing) + 1))
        return listing.get(name)
