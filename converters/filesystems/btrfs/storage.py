"""A whole btrfs, of which mounts show one subvolume each: what they share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from converters.errors import UnsupportedError
from converters.filesystems.btrfs.contents import Contents
from converters.filesystems.btrfs.devices import open_devices
from converters.filesystems.btrfs.pool import Part
from converters.filesystems.btrfs.subvolumes import CHECKSUMS, Subvolumes
from converters.filesystems.btrfs.tree import Pointer


class Storage:
    """The btrfs one of whose devices is ``first``; a context manager. The disks stay the caller's.

    Args:
        others: where further devices may be; what is none of this file system's is passed over.

    Raises:
        FilesystemError: no btrfs, or damaged.
        UnsupportedError: a feature that nobody here understands, or a missing device, by its name.
        DiskError: a disk cannot be read.
    """

    def __init__(self, first: Part, others: Sequence[Part] = ()) -> None:
        self._pool, self._blocks, self._superblock = open_devices(first, others)
        geometry = self._superblock
        if geometry.log_root:
            raise UnsupportedError("btrfs with a log to replay")
        roots = Pointer(geometry.root, geometry.root_level, geometry.generation)
        self.subvolumes = Subvolumes(self._blocks, roots)
        self.contents = Contents(
            self._pool, self.subvolumes.tree(CHECKSUMS), geometry.checksum, geometry.sector_size
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of it, each a sentence."""
        found = []
        if self._superblock.has_errors:
            found.append("the guest's kernel had found damage in it.")
        if self._superblock.is_copy:
            found.append(
                "its first superblock is damaged; a copy was taken, which the guest's kernel would not do."
            )
        return tuple(found)

    def close(self) -> None:
        """Forget what was read; the disks stay open. A second call does nothing."""
        self._blocks.clear()
        self.contents.clear()
        for device in self._pool.devices.values():
            device.clear()
