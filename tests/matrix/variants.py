"""The file systems of the matrix, each with the features that some distribution has made it with."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

MIB = 1 << 20
_EXT, _XFS, _BTRFS = 64 * MIB, 304 * MIB, 128 * MIB
_FORCE = {"xfs": "-f", "btrfs": "-f"}
OLD_INODES = "128"
"""Bytes of an inode without nanoseconds and years after 2038."""


class State(StrEnum):
    """How the volume was left when its disk was copied."""

    CLEAN = "clean"
    """Unmounted."""
    DIRTY = "dirty"
    """Mounted and written to, as in a snapshot of a running machine."""
    FROZEN = "frozen"
    """Frozen by fsfreeze(8), as in a quiesced snapshot."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A way to make a file system."""

    type: str
    """As mount(8) calls it."""
    options: tuple[str, ...] = ()
    """Of mkfs(8)."""
    size: int = _EXT
    mount: str = "rw"
    """Mount options under which it is filled."""
    is_old: bool = False
    """Whether kernels of today do not mount it."""
    largest_attribute: int = 600
    """Bytes that an extended attribute may have."""

    @property
    def is_recovered(self) -> frozenset[State]:
        """The states in which its journal has to be replayed."""
        match self.type:
            case "ext3" | "ext4" | "btrfs":
                return frozenset({State.DIRTY})
            case "xfs":
                return frozenset({State.DIRTY, State.FROZEN})
            case _:
                return frozenset()

    @property
    def has_old_times(self) -> bool:
        """Whether times end in 2038."""
        return OLD_INODES in self.options or any("bigtime=0" in option for option in self.options)

    @property
    def largest_device(self) -> tuple[int, int]:
        """The largest device number it takes."""
        return (511, 262_143) if self.type == "xfs" else (4095, 1_048_575)

    def make(self, image: Path) -> Path:
        """Make it, empty, in the new file ``image``."""
        with open(image, "xb") as file:
            file.truncate(self.size)
        mkfs = [f"mkfs.{self.type}", "-q", _FORCE.get(self.type, "-F"), *self.options, str(image)]
        subprocess.run(mkfs, check=True, capture_output=True)
        return image


VARIANTS: Mapping[str, Variant] = {
    "ext2": Variant("ext2"),
    "ext2-old-inodes": Variant("ext2", ("-b", "1024", "-I", OLD_INODES)),
    "ext3": Variant("ext3"),
    "ext4": Variant("ext4"),
    "ext4-1k-seed": Variant("ext4", ("-b", "1024", "-O", "64bit,metadata_csum_seed")),
    "ext4-group-checksums": Variant("ext4", ("-O", "^64bit,^metadata_csum,uninit_bg,^flex_bg")),
    "ext4-block-maps": Variant("ext4", ("-b", "2048", "-O", "^64bit,^extent")),
    "ext4-inline": Variant("ext4", ("-O", "inline_data,ea_inode"), largest_attribute=20_000),
    "ext4-bigalloc": Variant("ext4", ("-O", "bigalloc", "-C", "16384")),
    "ext4-fast-commit": Variant("ext4", ("-O", "orphan_file,fast_commit")),
    "xfs": Variant("xfs", size=_XFS, largest_attribute=20_000),
    "xfs-plain": Variant(
        "xfs",
        ("-m", "bigtime=0,reflink=0,rmapbt=0,finobt=0,inobtcount=0", "-i", "sparse=0"),
        _XFS,
        largest_attribute=20_000,
    ),
    "xfs-1k-nrext64": Variant("xfs", ("-b", "size=1024", "-i", "nrext64=1"), _XFS, largest_attribute=20_000),
    "xfs-v4": Variant("xfs", is_old=True),
    "xfs-v4-512": Variant("xfs", is_old=True),
    "btrfs": Variant("btrfs", size=_BTRFS, largest_attribute=3000),
    "btrfs-zstd": Variant("btrfs", size=_BTRFS, mount="rw,compress-force=zstd", largest_attribute=3000),
}
