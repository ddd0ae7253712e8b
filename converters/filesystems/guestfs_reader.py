"""A file system as the libguestfs appliance's kernel shows it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from converters.errors import FilesystemError
from converters.filesystems.base import KINDS, Entry, Kind
from converters.filesystems.guestfs import Appliance
from converters.filesystems.guestfs_calls import CHUNK, Status

_BATCH = 1000
"""Names asked about at once."""


class GuestfsFilesystem:
    """Reads one device of an appliance, which others share and its owner closes.

    A walk asks four times a directory, not once a file; a call takes half a millisecond without KVM.
    """

    def __init__(self, appliance: Appliance, device: str, options: str = "") -> None:
        """Mount ``device``, with mount options such as ``subvol=@``.

        Raises:
            FilesystemError: the appliance does not start, or its kernel does not mount the device.
        """
        self._calls = appliance.calls
        self._type = appliance.type(device)
        self._mount = appliance.mount(device, options)
        self._devices: dict[int, int] = {}

    @property
    def type(self) -> str:
        """Name as in fstab."""
        return self._type

    def walk(self, top: bytes = b"") -> Iterator[Entry]:
        """Every entry from ``top`` down, as ``Filesystem.walk`` promises."""
        entry = self.lookup(top)
        waiting = [iter(() if entry is None else (entry,))]
        while waiting:
            entry = next(waiting[-1], None)
            if entry is None:
                waiting.pop()
                continue
            yield entry
            if entry.kind is Kind.DIRECTORY:
                waiting.append(self._children(entry.path))

    def lookup(self, path: bytes) -> Entry | None:
        """The entry at ``path`` without following symbolic links, or None where there is none."""
        if not path:
            return next(self._entries(b"", [b"."]))._replace(path=b"")
        folder, _, name = path.rpartition(b"/")
        if folder and not self._is_directory(folder):
            return None
        return next(self._entries(folder, [name]), None)

    def read(self, entry: Entry) -> Iterator[bytes]:
        """The bytes of a regular file in chunks of 2 MiB, holes as zeros."""
        path = self._path(entry.path)
        for offset in range(0, entry.size, CHUNK):
            wanted = min(CHUNK, entry.size - offset)
            data = self._calls.read(path, wanted, offset)
            if len(data) != wanted:
                raise FilesystemError(
                    f"libguestfs read {len(data)} bytes instead of {wanted} at byte {offset} of "
                    f"{path.decode('utf-8', 'backslashreplace')}"
                )
            yield data

    def close(self) -> None:
        """Nothing of its own is open: the appliance is its owner's to close."""

    def _path(self, path: bytes) -> bytes:
        return self._mount + b"/" + path if path else self._mount

    def _is_directory(self, path: bytes) -> bool:
        """Whether every part of ``path`` is a directory, so that the kernel follows no link on the way."""
        folder = b""
        for name in path.split(b"/"):
            (status,) = self._calls.status(self._path(folder), [name])
            if status is None or not stat.S_ISDIR(status.mode):
                return False
            folder = folder + b"/" + name if folder else name
        return True

    def _children(self, folder: bytes) -> Iterator[Entry]:
        names = self._calls.names(self._path(folder))
        for start in range(0, len(names), _BATCH):
            batch = names[start : start + _BATCH]
            entries = list(self._entries(folder, batch))
            if len(entries) != len(batch):
                missing = sorted({*batch} - {entry.path.rpartition(b"/")[2] for entry in entries})
                raise FilesystemError(
                    f"libguestfs lists {missing[0]!r} in {folder!r} and cannot say what it is"
                )
            yield from entries

    def _entries(self, folder: bytes, names: list[bytes]) -> Iterator[Entry]:
        """The names of one directory that exist, with everything there is to know of them."""
        path = self._path(folder)
        found = [
            (name, status)
            for name, status in zip(names, self._calls.status(path, names), strict=True)
            if status is not None
        ]
        attributes = self._calls.xattrs(path, [name for name, _ in found]) if found else []
        links = [name for name, status in found if stat.S_ISLNK(status.mode)]
        targets = dict(zip(links, self._calls.targets(path, links), strict=True)) if links else {}
        prefix = folder + b"/" if folder else b""
        for (name, status), xattrs in zip(found, attributes, strict=True):
            target = targets.get(name, b"")
            if len(target) != status.size and stat.S_ISLNK(status.mode):
                raise FilesystemError(f"libguestfs cannot read the symbolic link {prefix + name!r}")
            yield self._entry(prefix + name, status, xattrs, target)

    def _entry(
        self, path: bytes, status: Status, xattrs: tuple[tuple[bytes, bytes], ...], target: bytes
    ) -> Entry:
        kind = KINDS[stat.S_IFMT(status.mode)]
        device = kind in (Kind.CHARACTER, Kind.BLOCK)
        return Entry(
            path=path,
            kind=kind,
            mode=stat.S_IMODE(status.mode),
            uid=status.uid,
            gid=status.gid,
            size=status.size if kind in (Kind.FILE, Kind.SYMLINK) else 0,
            mtime_ns=status.mtime_ns,
            inode=self._inode(status),
            nlink=status.nlink,
            target=target,
            major=os.major(status.rdev) if device else 0,
            minor=os.minor(status.rdev) if device else 0,
            xattrs=xattrs,
        )

    def _inode(self, status: Status) -> int:
        """Subvolumes of btrfs number their inodes apart, under device numbers of their own."""
        return self._devices.setdefault(status.dev, len(self._devices)) << 64 | status.ino
