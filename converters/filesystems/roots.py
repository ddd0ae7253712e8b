"""Which volume of a guest holds its root file system."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from converters.errors import ConvertError, FilesystemError, NoLinuxError, UnsupportedError
from converters.filesystems.base import Filesystem, Kind
from converters.filesystems.boot_config import kernel_root
from converters.filesystems.crypttab import by_our_name, mapped_names
from converters.filesystems.engines import IN_PROCESS
from converters.filesystems.evidence import Candidate, decide, names_itself
from converters.filesystems.fstab import Line, unquote
from converters.filesystems.guestfs import ApplianceDevice
from converters.filesystems.opener import VolumeOpener
from converters.filesystems.place import Place
from converters.filesystems.places import ASSEMBLED, find_devices, find_volumes, is_device
from converters.filesystems.rootless import Rootless
from converters.volumes.base import Volume

LINUX = ("ext2", "ext3", "ext4", "xfs", "btrfs", "jfs", "reiserfs", "f2fs")
"""File systems that a Linux root can be on."""

_IDENTITY = (b"etc/fstab", b"etc/os-release", b"usr/lib/os-release")
_PROGRAMS = (b"bin", b"usr")
_SUBVOLUMES = ("@", "root", "@root", "@rootfs", "rootfs")
"""Where distributions put a root that is not the default subvolume of its btrfs."""
_HINT = (
    "say which: `orchestrate convert DISK… --root` with DISK:PARTITION, UUID=…, LABEL=… or /dev/GROUP/VOLUME,"
    " and with all disks of the guest"
)


@dataclass(frozen=True, slots=True)
class Root:
    """The volume with the root file system."""

    place: Place
    options: str = ""
    """Mount options that choose it: ``subvol=@``."""
    notes: tuple[str, ...] = ()


def find_root(
    opener: VolumeOpener, volumes: Sequence[Volume], wanted: str, notes: Sequence[str] = ()
) -> Root:
    """The root among ``volumes``, or else among what the appliance assembles from them.

    Args:
        wanted: as a person said: ``disk:partition`` (partition 0: a disk without a table), a device's name,
            or ``UUID=…`` and its like as in an fstab.
        notes: what a person should know of the disks where there is none, each a sentence.

    Raises:
        NoLinuxError: there is none; the message lists what there is.
        UnsupportedError: several, and what they say does not decide; or encrypted.
        FilesystemError: a volume that could be it cannot be read.
    """
    search = _Search(opener, volumes, notes)
    if wanted:
        return search.chosen(search.named(wanted))
    candidates: list[Candidate] = []
    for places in search.groups(candidates):
        candidates += search.among(places)
        if any(names_itself(candidate, search.leads) for candidate in candidates):
            break
    match candidates:
        case []:
            raise search.nothing()
        case [candidate]:
            return Root(candidate.place, candidate.options, search.unseen())
    verdict = decide(candidates, search.kernel_roots(), search.leads)
    if verdict.chosen is None:
        listed = ", ".join(candidate.details() for candidate in candidates)
        message = f"several volumes hold a Linux root file system: {listed}"
        raise UnsupportedError(". ".join(filter(None, (message, verdict.reason))), _HINT)
    listed = ", ".join(candidate.name for candidate in candidates)
    note = f"Of {listed}, all with a root file system, {verdict.chosen.name} was taken: {verdict.reason}."
    return Root(verdict.chosen.place, verdict.chosen.options, (note, *search.unseen()))


def is_root(filesystem: Filesystem) -> bool:
    """Whether this is a Linux root: it has configuration, and programs."""
    etc = filesystem.lookup(b"etc")
    if etc is None or etc.kind is not Kind.DIRECTORY:
        return False
    return _has_any(filesystem, _IDENTITY) and _has_any(filesystem, _PROGRAMS)


def _has_any(filesystem: Filesystem, paths: Iterable[bytes]) -> bool:
    return any(filesystem.lookup(path) is not None for path in paths)


class _Search:
    def __init__(self, opener: VolumeOpener, volumes: Sequence[Volume], notes: Sequence[str]) -> None:
        self._opener = opener
        self._volumes = volumes
        self._notes = notes
        self._failures: list[ConvertError] = []
        self._seen: list[Filesystem] = []

    def groups(self, found: Collection[Candidate]) -> Iterator[list[Place]]:
        """Where a root can be: first what is read in process, last what takes an appliance to find.

        ``found`` grows meanwhile. Of a btrfs the appliance tells further subvolumes only: once there is a
        root, it is not started for them.
        """
        in_process = [volume for volume in self._volumes if volume.content.type in IN_PROCESS]
        yield [*self._opener.distinct(in_process)]
        yield [volume for volume in self._volumes if volume.content.type in {*LINUX} - {*IN_PROCESS}]
        kinds = {volume.content.type for volume in self._volumes}
        if self._opener.uses_appliance and not kinds.isdisjoint(
            ASSEMBLED if found else {*ASSEMBLED, "btrfs"}
        ):
            try:
                devices = self._opener.appliance.devices()
            except (FilesystemError, UnsupportedError) as error:
                self._failures.append(error)
                return
            yield [device for device in devices if device.content.type in LINUX]

    def among(self, places: Iterable[Place]) -> list[Candidate]:
        """What of the places holds a root file system."""
        return [candidate for place in places for candidate in self._candidates(place)]

    def _candidates(self, place: Place) -> Iterator[Candidate]:
        filesystem = self._open(place)
        if filesystem is None:
            return
        self._seen.append(filesystem)
        if is_root(filesystem):
            yield Candidate(place, filesystem)
        elif filesystem.type == "btrfs":
            told = (line.option("subvol").strip("/") for line in self.kernel_roots())
            for name in dict.fromkeys((*_SUBVOLUMES, *filter(None, told))):
                entry = filesystem.lookup(name.encode("utf-8", "surrogateescape"))
                if entry is None or entry.kind is not Kind.DIRECTORY:
                    continue
                options = f"subvol={name}"
                subvolume = self._open(place, options)
                if subvolume is not None and is_root(subvolume):
                    yield Candidate(place, subvolume, options)

    def _open(self, place: Place, options: str = "") -> Filesystem | None:
        try:
            # A btrfs is not seen whole for a look: what is mounted of it may be one subvolume of many.
            return self._opener.peek(place, options) or self._opener.open(place, options).filesystem
        except (FilesystemError, UnsupportedError) as error:
            if not options:
                self._failures.append(error)
            return None

    def unseen(self) -> tuple[str, ...]:
        """A sentence on each volume that could not be looked at, and so may be the root all the same."""
        return tuple(f"Not looked at for a root: {failure.message}." for failure in self._failures)

    def kernel_roots(self) -> list[Line]:
        """What the boot loaders' configurations start, in the order in which volumes were looked at."""
        found = (kernel_root(filesystem) for filesystem in self._seen)
        return [root.line for root in found if root is not None]

    def leads(self, line: Line, candidate: Candidate) -> bool:
        """Whether the source of a line, with its subvolume, is the candidate."""
        subvolume, own = line.option("subvol").strip("/"), candidate.options.removeprefix("subvol=")
        if subvolume and own and subvolume != own:
            return False
        if isinstance(candidate.place, Volume):
            names = mapped_names(candidate.filesystem, self._volumes)
            return candidate.place in find_volumes(by_our_name(line, names), self._volumes)
        return candidate.place in find_devices(line, [candidate.place])

    def chosen(self, place: Place) -> Root:
        """A place that a person named, with the subvolume on it that is a root."""
        if place.content.type != "btrfs":
            return Root(place)
        # Its subvolume may have an odd name, which a boot loader on another volume tells.
        self.among(other for other in next(self.groups(())) if other != place)
        candidates = [candidate for candidate in self._candidates(place) if candidate.options]
        match candidates:
            case []:
                return Root(place)
            case [candidate]:
                return Root(place, candidate.options)
        verdict = decide(candidates, self.kernel_roots(), self.leads)
        if verdict.chosen is None:
            names = ", ".join(candidate.details() for candidate in candidates)
            raise UnsupportedError(f"several subvolumes hold a Linux root file system: {names}", _HINT)
        return Root(place, verdict.chosen.options)

    def named(self, wanted: str) -> Place:
        """The place a person named."""
        exact = [volume for volume in self._volumes if wanted == _identity(volume)]
        line = Line(unquote(wanted), "/", "auto", ())
        found: list[Place] = [*(exact or (find_volumes(line, self._volumes) if is_device(line) else ()))]
        devices: Sequence[ApplianceDevice] = ()
        if not found and wanted.startswith(("/dev/", "btrfsvol:", "UUID=", "LABEL=")):
            devices = self._opener.appliance.devices() if self._opener.uses_appliance else ()
            found = [device for device in devices if wanted == device.name] or [*find_devices(line, devices)]
        match found:
            case [place]:
                return place
            case []:
                names = [f"{_identity(one)} ({one.content.type or 'empty'})" for one in self._volumes]
                names += [device.name for device in devices]
                raise NoLinuxError(
                    f"there is no volume {wanted}", f"for --root say one of: {', '.join(names)}"
                )
        names = [_identity(place) for place in found if isinstance(place, Volume)]
        raise UnsupportedError(f"several volumes are {wanted}", f"say one of them: {', '.join(names)}")

    def nothing(self) -> ConvertError:
        """The error that says what is on the disks instead of a root file system."""
        told = (*self._notes, *self._opener.notes)
        return Rootless(self._volumes, LINUX, self._failures, told, self._opener.uses_appliance).error()


def _identity(volume: Volume) -> str:
    """How a person names a volume."""
    return volume.name or f"{volume.disk}:{volume.number}"
