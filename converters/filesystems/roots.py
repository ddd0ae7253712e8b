"""Which volume of a guest holds its root file system."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from converters.errors import ConvertError, FilesystemError, NoLinuxError, UnsupportedError
from converters.filesystems.access import read_bytes
from converters.filesystems.base import Filesystem, Kind
from converters.filesystems.engines import IN_PROCESS
from converters.filesystems.fstab import parse
from converters.filesystems.opener import Place, VolumeOpener, describe
from converters.filesystems.places import ASSEMBLED, find_devices, find_volumes
from converters.volumes.base import Volume

LINUX = ("ext2", "ext3", "ext4", "xfs", "btrfs", "jfs", "reiserfs", "f2fs")
"""File systems that a Linux root can be on."""

_IDENTITY = (b"etc/fstab", b"etc/os-release", b"usr/lib/os-release")
_PROGRAMS = (b"bin", b"usr")
_FSTAB_LIMIT = 1 << 20
_HINT = "say which: `orchestrate convert DISK… --root DISK:PARTITION`, with all disks of the guest"
_UNKNOWN_HINT = (
    "if another disk holds the root, it is needed too; else this one is unused, damaged, or encrypted "
    "without a header: `blkid -p DISK` tells what others make of it"
)


@dataclass(frozen=True, slots=True)
class Root:
    """The volume with the root file system."""

    place: Place
    notes: tuple[str, ...] = ()


def find_root(opener: VolumeOpener, volumes: Sequence[Volume], wanted: str) -> Root:
    """The root among ``volumes``, or else among what the appliance assembles from them.

    Args:
        wanted: ``disk:partition`` (partition 0: a disk without a table) or a device's name, as a person said.

    Raises:
        NoLinuxError: there is none; the message lists what there is.
        UnsupportedError: several, and none that names itself alone in its fstab; or encrypted.
        FilesystemError: a volume that could be it cannot be read.
    """
    search = _Search(opener, volumes)
    if wanted:
        return Root(search.named(wanted))
    roots: list[Place] = []
    for places in search.groups():
        roots += search.among(places)
        named = [place for place in roots if search.names_itself(place)]
        if len(named) == 1:
            return _chosen(named[0], roots)
    match roots:
        case []:
            raise search.nothing()
        case [place]:
            return Root(place)
        case _:
            listed = ", ".join(map(describe, roots))
            raise UnsupportedError(f"several volumes hold a Linux root file system: {listed}", _HINT)


def _chosen(place: Place, roots: Sequence[Place]) -> Root:
    if len(roots) == 1:
        return Root(place)
    listed = ", ".join(map(describe, roots))
    note = f"Of {listed}, all with a root file system, {describe(place)} is the one whose fstab names it."
    return Root(place, (note,))


def is_root(filesystem: Filesystem) -> bool:
    """Whether this is a Linux root: it has configuration, and programs."""
    etc = filesystem.lookup(b"etc")
    if etc is None or etc.kind is not Kind.DIRECTORY:
        return False
    return _has_any(filesystem, _IDENTITY) and _has_any(filesystem, _PROGRAMS)


def _has_any(filesystem: Filesystem, paths: Iterable[bytes]) -> bool:
    return any(filesystem.lookup(path) is not None for path in paths)


class _Search:
    def __init__(self, opener: VolumeOpener, volumes: Sequence[Volume]) -> None:
        self._opener = opener
        self._volumes = volumes
        self._failures: list[ConvertError] = []

    def groups(self) -> Iterator[list[Place]]:
        """Where a root can be: first what is read in process, last what takes an appliance to find."""
        in_process = [volume for volume in self._volumes if volume.content.type in IN_PROCESS]
        yield [*self._opener.distinct(in_process)]
        yield [volume for volume in self._volumes if volume.content.type in {*LINUX} - {*IN_PROCESS}]
        kinds = {volume.content.type for volume in self._volumes}
        if self._opener.uses_appliance and not kinds.isdisjoint((*ASSEMBLED, "btrfs")):
            try:
                devices = self._opener.appliance.devices()
            except (FilesystemError, UnsupportedError) as error:
                self._failures.append(error)
                return
            yield [device for device in devices if device.content.type in LINUX]

    def among(self, places: Iterable[Place]) -> list[Place]:
        """The places that hold a root file system."""
        return [place for place in places if self._is_root(place)]

    def _is_root(self, place: Place) -> bool:
        try:
            return is_root(self._opener.open(place).filesystem)
        except (FilesystemError, UnsupportedError) as error:
            self._failures.append(error)
            return False

    def names_itself(self, place: Place) -> bool:
        """Whether the entry for ``/`` in the fstab of a root leads back to it."""
        content = read_bytes(self._opener.open(place).filesystem, b"etc/fstab", _FSTAB_LIMIT) or b""
        lines, _ = parse(content.decode("utf-8", "surrogateescape"))
        for line in lines:
            if line.target == "/":
                if isinstance(place, Volume):
                    return place in find_volumes(line, self._volumes)
                return place in find_devices(line, [place])
        return False

    def named(self, wanted: str) -> Place:
        """The place a person named."""
        for volume in self._volumes:
            if wanted == _identity(volume):
                return volume
        devices = self._opener.appliance.devices() if wanted.startswith(("/dev/", "btrfsvol:")) else ()
        for device in devices:
            if wanted == device.name:
                return device
        names = [_identity(volume) for volume in self._volumes]
        names += [device.name for device in devices]
        raise NoLinuxError(f"there is no volume {wanted}", f"there are {', '.join(names)}")

    def nothing(self) -> ConvertError:
        """The error that says what is on the disks instead of a root file system."""
        listed = "; ".join(map(_holds, self._volumes)) or "the disks are empty"
        message = f"no Linux root file system ({', '.join(LINUX)}): {listed}"
        kinds = {volume.content.type for volume in self._volumes}
        if self._failures:
            return FilesystemError(". ".join([message, *(failure.message for failure in self._failures)]))
        if "crypto_LUKS" in kinds:
            return UnsupportedError(message, "an encrypted guest can only be converted after it is decrypted")
        if kinds & {*ASSEMBLED} and not self._opener.uses_appliance:
            return UnsupportedError(
                message, "allow the engine guestfs, which reads logical volumes: --engines"
            )
        if not any(kinds):
            return NoLinuxError(message, _UNKNOWN_HINT)
        return NoLinuxError(
            message, "if another disk holds the root, it is needed too; else there is nothing to convert"
        )


def _identity(volume: Volume) -> str:
    """How a person names a volume."""
    return volume.name or f"{volume.disk}:{volume.number}"


def _holds(volume: Volume) -> str:
    """What is on a volume, in words."""
    if volume.content.type:
        return f"{describe(volume)} holds {volume.content.type}"
    table = "" if volume.number else "no partition table and "
    return f"{describe(volume)} holds {table}no file system, LVM, RAID or encryption that is known"
