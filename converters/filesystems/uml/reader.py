"""A file system as the kernel of user-mode Linux shows it."""

from __future__ import annotations

import stat
import struct
from collections.abc import Iterator

from converters.errors import FilesystemError
from converters.filesystems.base import KINDS, Entry, Kind
from converters.filesystems.uml import wire
from converters.filesystems.uml.session import Session

OPTIONS = {
    "btrfs": "ro",
    "ext2": "ro",
    "ext3": "ro",
    "ext4": "ro",
    "f2fs": "ro",
    "jfs": "rw,noatime",
    "nilfs2": "ro",
    "reiserfs": "ro",
    "xfs": "ro,nouuid",
}
"""File systems that this kernel reads, and how it mounts them: so that a journal is replayed, into the
machine's copy-on-write file. A dirty JFS, which is shown as it lies when mounted read-only, is refused."""

_CHUNK = 1 << 20


class UmlFilesystem:
    """Reads one mounted device of a session, which others may share and its owner closes."""

    def __init__(self, session: Session, device: str, type: str, options: str = "") -> None:
        """Mount ``device``, with further mount options such as ``subvol=@``.

        Raises:
            FilesystemError: the kernel refuses it.
        """
        if type not in OPTIONS:
            raise FilesystemError(f"user-mode Linux here does not read {type or 'unknown content'}")
        self._session = session
        self._type = type
        self._devices: dict[int, int] = {}
        given = ",".join(filter(None, (OPTIONS[type], options)))
        self._root = session.mount(device, type, given).encode()

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
        data = self._session.look(self._root, path)
        if not data:
            return None
        (entry,) = self._entries(data, b"")
        return entry._replace(path=path)

    def read(self, entry: Entry) -> Iterator[bytes]:
        """The bytes of a regular file in chunks of 1 MiB, holes as zeros."""
        path = self._root + b"/" + entry.path
        for offset in range(0, entry.size, _CHUNK):
            wanted = min(_CHUNK, entry.size - offset)
            data = self._session.read(path, offset, wanted)
            if len(data) != wanted:
                where = entry.path.decode("utf-8", "backslashreplace")
                raise FilesystemError(
                    f"user-mode Linux read {len(data)} bytes instead of {wanted} at byte {offset} of {where}"
                )
            yield data

    def close(self) -> None:
        """Nothing of its own is open: the machine is its owner's to end."""

    def _children(self, folder: bytes) -> Iterator[Entry]:
        """What a directory holds, a page at a time: it may have a million names."""
        prefix = folder + b"/" if folder else b""
        given, size = 0, wire.PAGE_BYTES
        while size >= wire.PAGE_BYTES:
            page = self._session.children(self._root + b"/" + folder, given)
            size = len(page)
            found = [*self._entries(page, prefix)]
            yield from found
            given += len(found)

    def _entries(self, data: bytes, prefix: bytes) -> Iterator[Entry]:
        """The entries of one answer, each checked: a hostile file system may have made it."""
        place = 0
        try:
            while place < len(data):
                entry, place = self._entry(data, place, prefix)
                yield entry
        except (struct.error, KeyError) as error:
            raise FilesystemError(f"user-mode Linux tells of a file what makes no sense: {error}") from None

    def _entry(self, data: bytes, place: int, prefix: bytes) -> tuple[Entry, int]:
        (device, inode, mode, links, owner, group, seconds, nanoseconds, size, major, minor, *lengths) = (
            wire.STATUS.unpack_from(data, place)
        )
        count, name_length, target_length = lengths
        place += wire.STATUS.size
        name, target = data[place : place + name_length], data[place + name_length :][:target_length]
        place += name_length + target_length
        attributes = []
        for _ in range(count):
            key, value = wire.ATTRIBUTE.unpack_from(data, place)
            place += wire.ATTRIBUTE.size
            attributes.append((data[place : place + key], data[place + key : place + key + value]))
            place += key + value
        if place > len(data) or not name or b"/" in name or b"\0" in name or name == b"..":
            raise FilesystemError("user-mode Linux tells of a file what makes no sense")
        kind = KINDS[stat.S_IFMT(mode)]
        is_device = kind in (Kind.CHARACTER, Kind.BLOCK)
        entry = Entry(
            path=prefix + name,
            kind=kind,
            mode=stat.S_IMODE(mode),
            uid=owner,
            gid=group,
            size=size if kind in (Kind.FILE, Kind.SYMLINK) else 0,
            mtime_ns=seconds * 1_000_000_000 + nanoseconds,
            # Subvolumes of btrfs number their inodes apart, under device numbers of their own.
            inode=self._devices.setdefault(device, len(self._devices)) << 64 | inode,
            nlink=links,
            target=target,
            major=major if is_device else 0,
            minor=minor if is_device else 0,
            xattrs=tuple(attributes),
        )
        return entry, place
