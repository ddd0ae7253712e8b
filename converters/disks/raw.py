"""Raw disk images and block devices, read with pread(2); several extents may make one disk."""

from __future__ import annotations

import errno
import os
import resource
import stat
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from converters.disks.stretches import Stretch, shifted
from converters.errors import DiskError

_LAST_OFFSET = (1 << 63) - 1
"""Of a file; a hostile header can name a larger one, which pread(2) cannot take."""


_OTHER_FILES = 512
"""That a process has open beside those of one disk."""


def open_file(path: str | bytes, *, follow_links: bool = True) -> int:
    """A read-only descriptor of a regular file or block device that is not empty.

    Raises:
        DiskError: missing, not readable, empty, or something else than a file or block device.
    """
    name = os.fsdecode(path)
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # a FIFO in the disk's place must not hold us up
    if not follow_links:
        flags |= os.O_NOFOLLOW
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        raise DiskError(f"no such disk image: {name}", "check the path") from None
    except OSError as error:
        raise DiskError(f"cannot open disk image {name}: {error.strerror}", "check the path") from error
    try:
        mode = os.fstat(descriptor).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
            what = "a folder" if stat.S_ISDIR(mode) else "neither a file nor a block device"
            raise DiskError(f"not a disk image: {name} is {what}", "give the path of a disk image")
        if os.lseek(descriptor, 0, os.SEEK_END) == 0:
            raise DiskError(f"disk image {name} is empty", "copy or export the disk again")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def allow_files(count: int) -> None:
    """Let this process and its children open ``count`` files more, as far as the hard limit goes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def read_fully(descriptor: int, length: int, offset: int) -> bytes:
    """``length`` bytes of a file from ``offset``; shorter only at its end."""
    if offset > _LAST_OFFSET:
        return b""
    data = os.pread(descriptor, length, offset)
    if len(data) == length or not data:
        return data
    parts = [data]
    missing = length - len(data)
    while missing:
        data = os.pread(descriptor, missing, offset + length - missing)
        if not data:
            break
        parts.append(data)
        missing -= len(data)
    return b"".join(parts)


class RawDisk:
    """A regular file or block device whose bytes are the disk's."""

    def __init__(self, path: str, *, follow_links: bool = True, name: str = "") -> None:
        """``name`` is for messages, where it is another than ``path``."""
        self._path = name or path
        self._descriptor = open_file(path, follow_links=follow_links)
        self._size = os.lseek(self._descriptor, 0, os.SEEK_END)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def size(self) -> int:
        """Size in bytes when it was opened."""
        return self._size

    @property
    def path(self) -> str:
        """Where it was opened, for messages."""
        return self._path

    @property
    def extents(self) -> tuple[Extent, ...]:
        """The whole file."""
        return (Extent(self, 0, self._size),)

    def again(self) -> RawDisk:
        """The same file opened once more, to be closed by itself; it may have lost its name."""
        return RawDisk(f"/proc/self/fd/{self._descriptor}", name=self._path)

    def fileno(self) -> int:
        """The open descriptor, for readers that need no copy through Python."""
        return self._descriptor

    def pread(self, length: int, offset: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``; shorter only at the end of the disk.

        Raises:
            DiskError: an input/output error, or the file became shorter.
        """
        wanted = max(0, min(length, self._size - offset))
        try:
            data = read_fully(self._descriptor, wanted, offset)
        except OSError as error:
            raise DiskError(f"cannot read {self._path} at byte {offset}: {error.strerror}") from error
        if len(data) != wanted:
            raise DiskError(f"{self._path} ends at byte {offset + len(data)}, before its {self._size} bytes")
        return data

    def stretches(self, start: int, end: int) -> Iterator[Stretch]:
        """See ``Sparse``: what is no hole of the file."""
        while start < end:
            try:
                first = os.lseek(self._descriptor, start, os.SEEK_DATA)
                stop = min(os.lseek(self._descriptor, first, os.SEEK_HOLE), end)
            except OSError as error:
                if error.errno != errno.ENXIO:  # ENXIO: nothing but a hole is left
                    yield start, end
                return
            if first < stop:
                yield first, stop
            start = max(stop, first)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Extent:
    """``size`` bytes of ``disk`` from ``offset``, or zeros where there is no disk."""

    disk: RawDisk | None
    offset: int
    size: int


class ExtentDisk:
    """Extents one after another: a split raw image, or the flat extents of a VMDK."""

    def __init__(self, extents: Sequence[Extent]) -> None:
        self._extents = tuple(extents)
        ends = [0]
        for extent in self._extents:
            ends.append(ends[-1] + extent.size)
        self._starts = ends[:-1]
        self._size = ends[-1]

    @property
    def size(self) -> int:
        """Size in bytes."""
        return self._size

    @property
    def extents(self) -> tuple[Extent, ...]:
        """What it is made of."""
        return self._extents

    def pread(self, length: int, offset: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``; shorter only at the end of the disk."""
        end = min(offset + length, self._size)
        parts = []
        while offset < end:
            index = bisect_right(self._starts, offset) - 1
            extent = self._extents[index]
            within = offset - self._starts[index]
            count = min(end - offset, extent.size - within)
            parts.append(
                bytes(count) if extent.disk is None else extent.disk.pread(count, extent.offset + within)
            )
            offset += count
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def piece(self, start: int, size: int) -> tuple[RawDisk, int] | None:
        """The file in which ``size`` bytes from ``start`` lie in one piece, and from where; else None."""
        index = bisect_right(self._starts, start) - 1
        extent, within = self._extents[index], start - self._starts[index]
        if extent.disk is None or within + size > extent.size:
            return None
        return extent.disk, extent.offset + within

    def stretches(self, start: int, end: int) -> Iterator[Stretch]:
        """See ``Sparse``: what is no hole of an extent's file."""
        while start < end:
            index = bisect_right(self._starts, start) - 1
            extent, within = self._extents[index], start - self._starts[index]
            count = min(end - start, extent.size - within)
            if extent.disk is not None:
                yield from shifted(extent.disk, extent.offset + within, count, start)
            start += count

    def close(self) -> None:
        """Close every extent; a second call does nothing."""
        for extent in self._extents:
            if extent.disk is not None:
                extent.disk.close()


FileDisk = RawDisk | ExtentDisk
"""Bytes that lie in files as they are: a disk, or an image of one."""
