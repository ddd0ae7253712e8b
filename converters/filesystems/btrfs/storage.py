"""A whole btrfs, of which mounts show one subvolume each: what they share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from converters.filesystems.btrfs import replay
from converters.filesystems.btrfs.contents import Contents
from converters.filesystems.btrfs.devices import open_devices
from converters.filesystems.btrfs.edited import EditedTree
from converters.filesystems.btrfs.pool import Part
from converters.filesystems.btrfs.subvolumes import Subvolumes
from converters.filesystems.btrfs.sums import Sums
from converters.filesystems.btrfs.tree import Pointer
from converters.filesystems.memory import Memory


class Storage:
    """The btrfs one of whose devices is ``first``; a context manager. The disks stay the caller's.

    Args:
        others: where further devices may be; what is none of this file system's is passed over.

    Raises:
        FilesystemError: no btrfs, or damaged.
        UnsupportedError: a feature that nobody here understands, or a missing device, by its name.
        DiskError: a disk cannot be read.
    """

    def __init__(self, first: Part, others: Sequence[Part] = (), memory: Memory | None = None) -> None:
        self.memory = memory or Memory()
        """What readers of it share."""
        self._pool, self._blocks, self._superblock = open_devices(first, others, self.memory)
        geometry = self._superblock
        roots = Pointer(geometry.root, geometry.root_level, geometry.generation)
        self.subvolumes = Subvolumes(self._blocks, roots)
        checksums = self.subvolumes.checksums()
        sums = Sums(checksums, geometry.checksum.size, geometry.sector_size, self.memory.log)
        self.contents = Contents(self._pool, sums, geometry.checksum, geometry.sector_size)
        if geometry.log_root:
            self._replay(sums)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def generation(self) -> int:
        """The last transaction."""
        return self._superblock.generation

    @property
    def was_replayed(self) -> bool:
        """Whether there was a log to replay."""
        return self._superblock.log_root != 0

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

    def _replay(self, sums: Sums) -> None:
        geometry = self._superblock
        root = Pointer(geometry.log_root, geometry.log_level, geometry.generation + 1)
        for number, log in replay.logs(self._blocks, root):
            if self.subvolumes.exists(number):
                tree = EditedTree(self.subvolumes.tree(number), geometry.node_size, self.memory.log)
                replay.Replay(log, tree, sums, sector=geometry.sector_size, no_holes=geometry.no_holes).run()
                self.subvolumes.replace(number, tree)

    def close(self) -> None:
        """Forget what was read; the disks stay open. A second call does nothing."""
        self._blocks.clear()
        self.contents.clear()
        for device in self._pool.devices.values():
            device.clear()
