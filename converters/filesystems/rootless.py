"""What a person is told of disks without a Linux root file system: what they hold, and what to do."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from converters.errors import ConvertError, FilesystemError, NoLinuxError, UnsupportedError
from converters.filesystems.place import describe
from converters.filesystems.places import ASSEMBLED
from converters.volumes.assembly import LUKS_MEMBER, NO_KEY, unlocked_name
from converters.volumes.base import Volume

_OTHER_DISK = "if another disk of the machine holds its root, give that too"
_UNKNOWN = (
    f"{_OTHER_DISK}; else this one is unused, damaged, or encrypted without a header: `blkid -p DISK` tells "
    "what others make of it"
)
_NO_KEY = "give its key: --luks-keys FOLDER with a file named by the UUID of each encrypted volume"
_LOCKED = "mend that and convert again; `cryptsetup luksDump DISK` tells what the volume's header says"
_DAMAGED = "copy or export the disk again; if it is as it was, `fsck -n` in the machine tells what is damaged"
_OTHERS: tuple[tuple[frozenset[str], str], ...] = (
    (
        frozenset(("ntfs", "exfat")),
        f"{_OTHER_DISK}; a machine with Windows alone is not converted",
    ),
    (
        frozenset(("iso9660",)),
        f"{_OTHER_DISK}; this is a CD or DVD image: give the disks of the machine that was installed from it",
    ),
    (
        frozenset(("squashfs", "squashfs3")),
        f"{_OTHER_DISK}; a machine that runs from a squashfs is not converted: its tree alone is imported "
        "with `unsquashfs -d TREE VOLUME` and `tar -C TREE -c . | docker import - NAME`",
    ),
    (
        frozenset(("VMFS", "VMFS_volume_member")),
        "this is a datastore of ESXi: give the disks of the machines on it",
    ),
)


@dataclass(frozen=True, slots=True)
class Rootless:
    """Disks on which no root was found."""

    volumes: Sequence[Volume]
    """All of the disks, those that were assembled too."""
    linux: Collection[str]
    """File systems on which a root was looked for."""
    failures: Sequence[ConvertError]
    """Of volumes that could not be looked at."""
    notes: Iterable[str]
    """What else is known of the disks, each a sentence."""
    appliance: bool
    """Whether libguestfs is switched on."""

    def error(self) -> ConvertError:
        """The error that tells it."""
        holds = "; ".join(map(self._holds, self.volumes)) or "the disks are empty"
        said = [
            f"no Linux root file system: {holds}",
            *(failure.message for failure in self.failures),
            *self.notes,
        ]
        message = ". ".join(text.rstrip(".") for text in said)
        kinds = {volume.content.type for volume in self.volumes}
        if self.failures:
            # One engine's switch is a person's choice, and no damage.
            switched = all(isinstance(failure, UnsupportedError) for failure in self.failures)
            hint = next(filter(None, (failure.hint for failure in self.failures)), _DAMAGED)
            return UnsupportedError(message, hint) if switched else FilesystemError(message, hint)
        if self._locked():
            return UnsupportedError(message, _NO_KEY if NO_KEY in message else _LOCKED)
        if kinds & {*ASSEMBLED} and not self.appliance:
            return UnsupportedError(
                message, "allow the engine guestfs, which reads logical volumes: --engines"
            )
        return NoLinuxError(message, self._hint(kinds))

    def _hint(self, kinds: set[str]) -> str:
        if not any(kinds):
            return _UNKNOWN
        if kinds & {*self.linux}:
            return _OTHER_DISK
        found = (hint for types, hint in _OTHERS if not types.isdisjoint(kinds))
        return next(found, f"{_OTHER_DISK}; else there is nothing to convert")

    def _holds(self, volume: Volume) -> str:
        """What is on a volume, in words."""
        where, type = describe(volume), volume.content.type
        if type in self.linux:
            without = "" if self.failures else " without a Linux system in it (etc, and bin or usr)"
            return f"{where} holds {type}{without}"
        if type:
            return f"{where} holds {type}"
        table = "no partition table and " if not volume.number and not volume.name else ""
        return f"{where} holds {table}no file system, LVM, RAID or encryption that is known"

    def _locked(self) -> bool:
        """Whether there is an encrypted volume that was not opened."""
        names = {volume.name for volume in self.volumes}
        encrypted = (one.content.uuid for one in self.volumes if one.content.type == LUKS_MEMBER)
        return any(unlocked_name(uuid) not in names for uuid in encrypted)
