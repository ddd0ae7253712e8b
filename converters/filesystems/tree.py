"""A guest's whole tree: its file systems at their mount points, read as one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from converters.filesystems.base import Entry, Filesystem, Kind
from converters.filesystems.opener import VolumeOpener
from converters.guest.facts import MountPoint, StepDown, UnreadMount


@dataclass(frozen=True, slots=True)
class _Mount:
    path: bytes
    filesystem: Filesystem
    device: int


class GuestTree:
    """The guest's file systems as its own kernel shows them after boot; itself a ``Filesystem``.

    A mount point's entry is the mounted root's, and what lies beneath it on the lower file system is hidden.
    ``Entry.device`` is the number of the mount. A context manager that closes volumes, disks and engines.
    """

    def __init__(self, opener: VolumeOpener) -> None:
        self._opener = opener
        self._mounts: list[_Mount] = []
        self._by_path: dict[bytes, _Mount] = {}
        self._points: list[MountPoint] = []
        self._notes: list[str] = []
        self.swap_files: tuple[str, ...] = ()
        """Files of the guest that its fstab names as swap space."""
        self.unread: list[UnreadMount] = []
        """What its fstab mounts, and none of the disks holds."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def mounts(self) -> tuple[MountPoint, ...]:
        """What is mounted where, the root first."""
        return tuple(self._points)

    @property
    def step_downs(self) -> tuple[StepDown, ...]:
        """Engines that could not read a volume, with the reason."""
        return tuple(self._opener.step_downs)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was passed over or is doubtful, each a sentence."""
        return (*self._notes, *self._opener.notes)

    def note(self, sentence: str) -> None:
        """Say what was passed over."""
        self._notes.append(sentence)

    def mount(self, path: bytes, filesystem: Filesystem, point: MountPoint) -> None:
        """Put a file system at a directory of the tree; the first one at ``b""``."""
        mount = _Mount(path, filesystem, len(self._mounts))
        self._mounts.append(mount)
        self._by_path[path] = mount
        self._points.append(point)

    @property
    def type(self) -> str:
        """The root's."""
        return self._mounts[0].filesystem.type

    def walk(self, top: bytes = b"") -> Iterator[Entry]:
        """Every entry from ``top`` down over all mounts, as ``Filesystem.walk`` promises."""
        mount, within = self._owner(top)
        return self._walk(mount, within)

    def lookup(self, path: bytes) -> Entry | None:
        """The entry at ``path`` without following symbolic links, or None where there is none."""
        mount, within = self._owner(path)
        entry = mount.filesystem.lookup(within)
        return None if entry is None else entry._replace(path=path, device=mount.device)

    def read(self, entry: Entry) -> Iterator[bytes]:
        """The bytes of a regular file."""
        mount = self._mounts[entry.device]
        within = entry.path[len(mount.path) :].lstrip(b"/")
        return mount.filesystem.read(entry._replace(path=within, device=0))

    def close(self) -> None:
        """Close everything that was opened to read the guest; a second call does nothing."""
        self._opener.close()

    def _owner(self, path: bytes) -> tuple[_Mount, bytes]:
        """The mount that ``path`` is on, and the path there."""
        top = path
        while top not in self._by_path:
            top = top.rpartition(b"/")[0]
        return self._by_path[top], path[len(top) :].lstrip(b"/")

    def _walk(self, mount: _Mount, top: bytes) -> Iterator[Entry]:
        prefix = mount.path + b"/" if mount.path else b""
        hidden: bytes | None = None
        for entry in mount.filesystem.walk(top):
            path = prefix + entry.path if entry.path else mount.path
            if hidden is not None and path.startswith(hidden):
                continue
            if entry.kind is Kind.DIRECTORY and path != mount.path and path in self._by_path:
                hidden = path + b"/"
                yield from self._walk(self._by_path[path], b"")
            elif mount.device:
                yield entry._replace(path=path, device=mount.device)
            else:
                yield entry
