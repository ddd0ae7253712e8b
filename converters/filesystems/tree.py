"""A guest's whole tree: its file systems at their mount points, read as one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Self

from converters.filesystems.base import Entry, Filesystem, Kind
from converters.filesystems.opener import VolumeOpener
from converters.guest.facts import MountPoint, StepDown, UnmountedVolume, UnreadMount
from converters.guest.files import printable

MOST_NOTES = 1000
"""A guest can have an fstab of half a million broken lines."""


@dataclass(slots=True)
class _Mount:
    """One file system, or a part of it, at a path of the tree."""

    path: bytes
    filesystem: Filesystem
    device: int
    point: MountPoint | None
    top: bytes = b""
    """The directory or file of ``filesystem`` that stands at ``path``."""
    shown_twice: list[bytes] = field(default_factory=list)
    """Directories and files of ``filesystem`` that another mount shows too."""

    def within(self, path: bytes) -> bytes:
        """A path of the tree as the file system has it."""
        return _join(self.top, path[len(self.path) :].lstrip(b"/"))

    def outside(self, path: bytes) -> bytes:
        """A path of the file system as the tree has it."""
        return _join(self.path, path[len(self.top) :].lstrip(b"/"))


class GuestTree:
    """The guest's file systems as its own kernel shows them after boot; itself a ``Filesystem``.

    A mount point's entry is the mounted root's, and what lies beneath it on the lower file system is hidden.
    ``Entry.device`` is the number of the file system. Where a bind mount shows a file at a second place, that
    name counts among its links, so that an image holds its bytes once. A context manager that closes volumes,
    disks and engines.
    """

    def __init__(self, opener: VolumeOpener) -> None:
        self._opener = opener
        self._mounts: list[_Mount] = []
        self._by_path: dict[bytes, _Mount] = {}
        self._devices: dict[int, int] = {}
        self._notes: list[str] = []
        self._more_notes = 0
        self.swap_files: tuple[str, ...] = ()
        """Files of the guest that its fstab names as swap space."""
        self.unread: list[UnreadMount] = []
        """What its fstab mounts, and none of the disks holds."""
        self.unmounted: tuple[UnmountedVolume, ...] = ()
        """Volumes of its disks that it mounts nowhere."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def mounts(self) -> tuple[MountPoint, ...]:
        """What is mounted where, the root first."""
        return tuple(mount.point for mount in self._mounts if mount.point is not None)

    @property
    def step_downs(self) -> tuple[StepDown, ...]:
        """Engines that could not read a volume, with the reason."""
        return tuple(self._opener.step_downs)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was passed over or is doubtful, each a sentence."""
        more = (f"{self._more_notes} more remarks are left out.",) if self._more_notes else ()
        return (*self._notes, *more, *self._opener.notes)

    def note(self, sentence: str) -> None:
        """Say what was passed over."""
        if len(self._notes) < MOST_NOTES:
            self._notes.append(printable(sentence))
        else:
            self._more_notes += 1

    def mount(self, path: bytes, filesystem: Filesystem, point: MountPoint | None) -> None:
        """Put a file system at a directory of the tree; the first one at ``b""``.

        Args:
            point: what is told of it; None for one that is no volume.
        """
        device = self._devices.setdefault(id(filesystem), len(self._devices))
        twin = next((mount for mount in self._mounts if mount.filesystem is filesystem), None)
        self._add(_Mount(path, filesystem, device, point))
        if twin is not None:
            self._show_twice(twin, b"")

    def bind(self, source: bytes, target: bytes) -> None:
        """Show what is at ``source``, a directory or file of the tree, at ``target`` too (mount(8), bind)."""
        mount, within = self._owner(source)
        point = None
        if mount.point is not None:
            point = replace(mount.point, path=_text(target), bound=_text(source))
        self._add(_Mount(target, mount.filesystem, mount.device, point, within))
        self._show_twice(mount, within)

    def mounted_below(self, path: bytes) -> list[bytes]:
        """Mount points below a directory, parents before children."""
        return sorted(
            other for other in self._by_path if other.startswith(path + b"/") or (other and not path)
        )

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
        return None if entry is None else self._shown(mount, entry, path)

    def read(self, entry: Entry) -> Iterator[bytes]:
        """The bytes of a regular file."""
        mount, within = self._owner(entry.path)
        return mount.filesystem.read(entry._replace(path=within, device=0))

    def close(self) -> None:
        """Close everything that was opened to read the guest; a second call does nothing."""
        self._opener.close()

    def _add(self, mount: _Mount) -> None:
        self._mounts.append(mount)
        self._by_path[mount.path] = mount

    def _show_twice(self, mount: _Mount, within: bytes) -> None:
        for other in self._mounts:
            if other.filesystem is mount.filesystem:
                other.shown_twice.append(within)

    def _owner(self, path: bytes) -> tuple[_Mount, bytes]:
        """The mount that ``path`` is on, and the path there."""
        top = path
        while top not in self._by_path:
            top = top.rpartition(b"/")[0]
        mount = self._by_path[top]
        return mount, mount.within(path)

    def _walk(self, mount: _Mount, top: bytes) -> Iterator[Entry]:
        hidden: bytes | None = None
        plain = not (mount.device or mount.path or mount.shown_twice)
        for entry in mount.filesystem.walk(top):
            path = entry.path if plain else mount.outside(entry.path)
            if hidden is not None and path.startswith(hidden):
                continue
            if path in self._by_path and path != mount.path:
                hidden = path + b"/"
                yield from self._walk(self._by_path[path], self._by_path[path].top)
            else:
                yield entry if plain else self._shown(mount, entry, path)

    def _shown(self, mount: _Mount, entry: Entry, path: bytes) -> Entry:
        """An entry of a mounted file system as the tree has it."""
        nlink = entry.nlink
        if mount.shown_twice and entry.kind is not Kind.DIRECTORY:
            nlink += sum(_is_in(entry.path, top) for top in mount.shown_twice)
        return entry._replace(path=path, device=mount.device, nlink=nlink)


def _join(folder: bytes, rest: bytes) -> bytes:
    return folder + b"/" + rest if folder and rest else folder or rest


def _is_in(path: bytes, top: bytes) -> bool:
    return not top or path == top or path.startswith(top + b"/")


def _text(path: bytes) -> str:
    return "/" + path.decode("utf-8", "backslashreplace")
