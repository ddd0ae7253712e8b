"""A guest's file systems, put together as its own /etc/fstab says."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Protocol

from converters.disks import AbsentDisk, DiskSource
from converters.disks.detect import misnamed
from converters.errors import FilesystemError, UnsupportedError
from converters.filesystems.access import encoded, read_bytes, resolve
from converters.filesystems.base import Kind, Remarking
from converters.filesystems.boot_mounts import MOST, BootMounts, boot_mounts
from converters.filesystems.crypttab import mapped_names
from converters.filesystems.empty import EmptyFilesystem
from converters.filesystems.engines import IN_PROCESS, Engine
from converters.filesystems.evidence import FSTAB, FSTAB_LIMIT, root_line
from converters.filesystems.fstab import Line, parse
from converters.filesystems.gpt_auto import discovered
from converters.filesystems.limits import DEFAULT_LIMITS, Limits
from converters.filesystems.locate import Locator
from converters.filesystems.opener import VolumeOpener
from converters.filesystems.place import Place, describe
from converters.filesystems.places import find_volumes, is_device
from converters.filesystems.roles import role_of
from converters.filesystems.roots import find_root
from converters.filesystems.sources import SourceKind, source_kind
from converters.filesystems.tree import GuestTree
from converters.filesystems.unmounted import unmounted
from converters.guest.facts import MountPoint, UnreadMount
from converters.guest.files import GuestFiles, printable
from converters.volumes import Volume, read_volumes
from converters.volumes.assembly import NO_KEYS
from converters.volumes.luks.keys import KeyFolder


class Settings(Protocol):
    """What of ``converters.reading.Reading`` concerns the opening of a guest."""

    @property
    def engines(self) -> Sequence[str]:
        """Names of the engines that are switched on."""

    @property
    def root(self) -> str:
        """Where the root file system is, as ``roots.find_root`` takes it; empty when it shall be found."""


def open_guest(
    sources: Sequence[DiskSource],
    scratch: Path,
    settings: Settings,
    keys: KeyFolder = NO_KEYS,
    limits: Limits = DEFAULT_LIMITS,
) -> GuestTree:
    """The tree of the guest on these disks, in the guest's order; a context manager.

    Args:
        scratch: a folder for copy-on-write files; empty again only when its owner deletes it.
        keys: open encrypted volumes.
        limits: what it may take.

    Raises:
        NoLinuxError: no volume holds a Linux root file system; the message says what was found.
        UnsupportedError: several do, or no engine that is switched on reads it.
        FilesystemError: damaged beyond every engine.
        DiskError: a disk cannot be opened or read.
    """
    opener = VolumeOpener(sources, scratch, [Engine(name) for name in settings.engines], keys, limits)
    try:
        tables = {
            index: read_volumes(disk, index)
            for index, disk in enumerate(opener.disks)
            if not isinstance(sources[index], AbsentDisk)
        }
        notes = [f"Disk {index}: {note}." for index, table in tables.items() for note in table.notes]
        notes += [f"Disk {index}: {note}." for index, note in enumerate(map(misnamed, sources)) if note]
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
        self._told: set[Place] = set()
        """Volumes that a mount names, read or not."""

    def tree(self, wanted: str, notes: Sequence[str]) -> GuestTree:
        """Find the root, then mount what boot mounts; with notes on the disks."""
        root = find_root(self._opener, self._volumes, wanted, notes)
        for note in (*notes, *root.notes):
            self._tree.note(note)
        self._mount(b"", root.place, root.options)
        names = mapped_names(self._tree, self._volumes)
        self._locator = Locator(self._opener, self._volumes, root.place, names, self._tree.note)
        self._locator.learn(root_line(self._tree))
        fstab = read_bytes(self._tree, FSTAB, FSTAB_LIMIT)
        if fstab is None:
            self._tree.note("There is no /etc/fstab.")
        # An initial RAM disk mounts /usr before any unit in it is looked at.
        usr = next((line for line in parse(fstab or b"")[0] if line.target == "/usr"), None)
        if usr is not None:
            self._follow(usr)
        found = boot_mounts(GuestFiles(self._tree), fstab)
        for note in found.notes:
            self._tree.note(note)
        self._tree.swap_files = tuple(
            line.source for line in found.swap[:MOST] if line.source.startswith("/") and not is_device(line)
        )
        for line in found.skipped:
            self._skip(line)
        for line in found.mounted:
            if usr is None or line.target != "/usr":
                self._follow(line)
        self._discover(root.place, found)
        self._tree.unmounted, told = unmounted(self._volumes, self._tree.mounts, self._told)
        for note in told:
            self._tree.note(note)
        return self._tree

    def _skip(self, line: Line) -> None:
        self._tree.note(f"{line.target} ({line.source}) is not mounted at boot, so it is not read.")
        if source_kind(line) is SourceKind.VOLUME:
            self._told.update(find_volumes(line, self._volumes))

    def _follow(self, line: Line) -> None:
        """Do what one entry says, or tell that it is not done."""
        match source_kind(line):
            case SourceKind.VOLUME:
                self._follow_volume(line)
            case SourceKind.BIND:
                self._bind(line)
            case SourceKind.EMPTY:
                self._begin_empty(line)
            case SourceKind.KERNEL:
                pass
            case SourceKind.NETWORK:
                self._tree.note(
                    f"{line.target} is on the network ({line.source}) and not part of the guest's disks."
                )
            case SourceKind.FILE:
                self._tree.note(
                    f"{line.target} is not read: it is in a file of the guest's, {line.source} ({line.type})."
                )
            case SourceKind.OTHER:
                self._tree.note(
                    f"{line.target} is not read: {line.type} ({line.source}) is on no disk as such."
                )

    def _follow_volume(self, line: Line) -> None:
        """Mount a volume; without it a note, where the guest would start without it too."""
        place = self._locator.find(line)
        if place is None:
            self._tree.unread.append(UnreadMount(printable(line.target), printable(line.source)))
            self._tree.note(f"{line.target} is not read: {line.source} is on none of the disks.")
            return
        self._told.add(place)
        kind = place.content.type
        if line.target.split("/")[1] in ("boot", "efi") and kind not in IN_PROCESS:
            self._tree.note(f"{line.target} ({describe(place)}, {kind}) is not read: images leave it out.")
            return
        folder = resolve(self._tree, encoded(line.target))
        if folder is None or folder.kind is not Kind.DIRECTORY:
            self._tree.note(
                f"{line.target} ({describe(place)}) is not read: there is no directory to mount it on."
            )
            return
        try:
            self._mount(folder.path, place, _subvolume(line))
        except (FilesystemError, UnsupportedError) as error:
            if "nofail" not in line.options:
                raise
            self._tree.note(f"{line.target} is not read, and the guest starts without it (nofail): {error}")

    def _bind(self, line: Line) -> None:
        source, target = (resolve(self._tree, encoded(path)) for path in (line.source, line.target))
        if source is None or target is None:
            missing = line.source if source is None else line.target
            self._tree.note(f"{line.target} does not show {line.source}: there is no {missing}.")
            return
        if (source.kind is Kind.DIRECTORY) is not (target.kind is Kind.DIRECTORY):
            self._tree.note(f"{line.target} does not show {line.source}: only one of them is a directory.")
            return
        below = self._tree.mounted_below(source.path) if line.has("rbind") else []
        # Each that shows the one before it doubles their number.
        if len(self._tree.mounts) + len(below) >= MOST:
            self._tree.note(f"{line.target} does not show {line.source}: there are too many mounts.")
            return
        self._tree.bind(source.path, target.path)
        for path in below:
            if not (path + b"/").startswith(target.path + b"/"):
                self._tree.bind(path, target.path + path[len(source.path) :])

    def _begin_empty(self, line: Line) -> None:
        folder = resolve(self._tree, encoded(line.target))
        if folder is None or folder.kind is not Kind.DIRECTORY or not folder.path:
            return
        if any(entry.path != folder.path for entry in islice(self._tree.walk(folder.path), 2)):
            self._tree.note(
                f"{line.target} begins empty at each boot ({line.type}): what lies beneath is left out."
            )
        self._tree.mount(folder.path, EmptyFilesystem.from_options(line, folder.mtime_ns), None)

    def _discover(self, root: Place, found: BootMounts) -> None:
        if isinstance(root, Volume):
            taken = {line.target for line in (*found.mounted, *found.skipped)}
            for line in discovered(GuestFiles(self._tree), root, self._volumes, taken):
                self._follow(line)

    def _mount(self, path: bytes, place: Place, options: str) -> None:
        opened = self._opener.open(place, options)
        self._told.add(place)
        name = "/" + path.decode("utf-8", "backslashreplace")
        point = MountPoint(
            path=name,
            device=describe(place),
            type=opened.filesystem.type,
            engine=opened.engine,
            recovered=opened.recovered,
            role=role_of(name),
            size=place.size if isinstance(place, Volume) else 0,
            subvolume=printable(options),
        )
        self._tree.mount(path, opened.filesystem, point)
        if isinstance(opened.filesystem, Remarking):
            for note in opened.filesystem.notes:
                self._tree.note(f"{describe(place)}: {note}")


def _subvolume(line: Line) -> str:
    """The mount options that choose a part of the volume."""
    chosen = ((name, line.option(name)) for name in ("subvol", "subvolid"))
    return ",".join(f"{name}={value}" for name, value in chosen if value)
