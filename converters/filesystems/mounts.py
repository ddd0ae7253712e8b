"""A guest's file systems, put together as its own /etc/fstab says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from converters.disks import AbsentDisk, DiskSource
from converters.errors import FilesystemError, UnsupportedError
from converters.filesystems.access import read_bytes, resolve
from converters.filesystems.base import Kind
from converters.filesystems.engines import IN_PROCESS, Engine
from converters.filesystems.fstab import Line, parse
from converters.filesystems.opener import Place, VolumeOpener, describe
from converters.filesystems.places import RAID, find_devices, find_volumes, is_device
from converters.filesystems.roots import find_root
from converters.filesystems.tree import GuestTree
from converters.guest.facts import MountPoint, UnreadMount
from converters.volumes import Volume, read_volumes

FSTAB = b"etc/fstab"
FSTAB_LIMIT = 1 << 20


class Settings(Protocol):
    """What of ``converters.request.Reading`` concerns the opening of a guest."""

    @property
    def engines(self) -> Sequence[str]:
        """Names of the engines that are switched on."""

    @property
    def root(self) -> str:
        """Where the root file system is, ``disk:partition``; empty when it shall be found."""


def open_guest(sources: Sequence[DiskSource], scratch: Path, settings: Settings) -> GuestTree:
    """The tree of the guest on these disks, in the guest's order; a context manager.

    Args:
        scratch: a folder for copy-on-write files; empty again only when its owner deletes it.

    Raises:
        NoLinuxError: no volume holds a Linux root file system; the message says what was found.
        UnsupportedError: several do, or no engine that is switched on reads it.
        FilesystemError: damaged beyond every engine.
        DiskError: a disk cannot be opened or read.
    """
    opener = VolumeOpener(sources, scratch, [Engine(name) for name in settings.engines])
    try:
        tables = {
            index: read_volumes(disk, index)
            for index, disk in enumerate(opener.disks)
            if not isinstance(sources[index], AbsentDisk)
        }
        notes = [f"Disk {index}: {note}" for index, table in tables.items() for note in table.notes]
        volumes = [volume for table in tables.values() for volume in table.volumes]
        return _Assembly(opener, [*volumes, *opener.assemble(volumes)]).tree(settings.root, notes)
    except BaseException:
        opener.close()
        raise


class _Assembly:
    """Mounts one volume after the other into a tree."""

    def __init__(self, opener: VolumeOpener, volumes: Sequence[Volume]) -> None:
        self._opener = opener
        self._volumes = volumes
        self._tree = GuestTree(opener)

    def tree(self, wanted: str, notes: Sequence[str]) -> GuestTree:
        """Find the root, then mount what its fstab names; with notes on the disks."""
        root = find_root(self._opener, self._volumes, wanted)
        for note in (*notes, *root.notes):
            self._tree.note(note)
        self._mount(b"", root.place, "")
        found = self._fstab()
        self._tree.swap_files = tuple(
            line.source
            for line in found
            if line.type == "swap" and line.source.startswith("/") and not line.source.startswith("/dev/")
        )
        lines = [line for line in found if self._is_wanted(line)]
        for line in sorted(lines, key=lambda line: line.target.count("/")):
            self._follow(line, root.place)
        return self._tree

    def _fstab(self) -> list[Line]:
        content = read_bytes(self._tree, FSTAB, FSTAB_LIMIT)
        if content is None:
            self._tree.note("There is no /etc/fstab: only the root file system is read.")
            return []
        lines, notes = parse(content.decode("utf-8", "surrogateescape"))
        for note in notes:
            self._tree.note(note)
        last = {line.target: line for line in lines}
        for line in lines:
            if line.target.startswith("/") and last[line.target] is not line:
                self._tree.note(f"/etc/fstab mounts {line.target} twice; the later entry is followed.")
        return [line for line in lines if not line.target.startswith("/") or last[line.target] is line]

    def _is_wanted(self, line: Line) -> bool:
        """Whether an entry is a volume of the guest, mounted at boot, beside the root."""
        if not line.target.startswith("/") or line.target == "/" or line.type == "swap":
            return False
        if {"bind", "rbind"} & {*line.options}:
            self._tree.note(
                f"{line.target} is {line.source} bound to a second place; it is read at its first."
            )
            return False
        if not is_device(line):
            if ":" in line.source or line.source.startswith("//"):
                self._tree.note(
                    f"{line.target} is on the network ({line.source}) and not part of the guest's disks."
                )
            return False
        if "noauto" in line.options:
            self._tree.note(f"{line.target} ({line.source}) is not mounted at boot, so it is not read.")
            return False
        return True

    def _follow(self, line: Line, root: Place) -> None:
        """Mount what one entry says; without it a note, where the guest would start without it too."""
        place = self._place(line, root)
        if place is None:
            self._tree.unread.append(UnreadMount(line.target, line.source))
            self._tree.note(f"{line.target} is not read: {line.source} is on none of the disks.")
            return
        kind = place.content.type
        if line.target.split("/")[1] in ("boot", "efi") and kind not in IN_PROCESS:
            self._tree.note(f"{line.target} ({describe(place)}, {kind}) is not read: images leave it out.")
            return
        folder = resolve(self._tree, line.target.encode("utf-8", "surrogateescape"))
        if folder is None or folder.kind is not Kind.DIRECTORY:
            self._tree.note(
                f"{line.target} ({describe(place)}) is not read: there is no directory to mount it on."
            )
            return
        subvolume = line.option("subvol")
        try:
            self._mount(folder.path, place, f"subvol={subvolume}" if subvolume else "")
        except (FilesystemError, UnsupportedError) as error:
            if "nofail" not in line.options:
                raise
            self._tree.note(f"{line.target} is not read, and the guest starts without it (nofail): {error}")

    def _place(self, line: Line, root: Place) -> Place | None:
        found = find_volumes(line, self._volumes)
        if len(found) > 1:
            self._tree.note(f"{line.source} is on {', '.join(map(describe, found))}.")
            beside = root.disk if isinstance(root, Volume) else 0
            found.sort(key=lambda volume: volume.disk != beside)
        if found:
            return found[0]
        if not self._opener.uses_appliance or not (self._opener.needs_appliance or self._has_raid()):
            return None
        return next(iter(find_devices(line, self._opener.appliance.devices())), None)

    def _has_raid(self) -> bool:
        return any(volume.content.type == RAID for volume in self._volumes)

    def _mount(self, path: bytes, place: Place, options: str) -> None:
        opened = self._opener.open(place, options)
        point = MountPoint(
            path="/" + path.decode("utf-8", "backslashreplace"),
            device=describe(place),
            type=opened.filesystem.type,
            engine=opened.engine,
            recovered=opened.recovered,
        )
        self._tree.mount(path, opened.filesystem, point)
