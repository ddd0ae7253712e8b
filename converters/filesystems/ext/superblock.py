"""The superblock of ext2, ext3 and ext4: geometry, features and state.

Offsets and bits are those of the kernel's ``Documentation/filesystems/ext4/super.rst``.
"""

from __future__ import annotations

import struct
import uuid
from dataclasses import dataclass

from converters.errors import FilesystemError, UnsupportedError

OFFSET = 1024
SIZE = 1024

NEEDS_RECOVERY = 0x4
JOURNAL_DEVICE = 0x8
WIDE = 0x80
EA_INODES = 0x400
CHECKSUM_SEED = 0x2000
UNDERSTOOD = {
    0x2: "filetype",
    NEEDS_RECOVERY: "needs_recovery",
    0x10: "meta_bg",
    0x40: "extent",
    WIDE: "64bit",
    0x100: "mmp",
    0x200: "flex_bg",
    EA_INODES: "ea_inode",
    CHECKSUM_SEED: "metadata_csum_seed",
    0x4000: "large_dir",
    0x8000: "inline_data",
    0x10000: "encrypt",
    0x20000: "casefold",
}
"""INCOMPAT features that are read exactly or told where they are met (an encrypted directory)."""
REFUSED = {0x1: "compression", 0x1000: "dirdata"}
"""INCOMPAT features known by name alone."""

_HAS_JOURNAL = 0x4
_META_BG, _FLEXIBLE = 0x10, 0x200
_STATE_ERRORS = 0x2
_EXT2_INCOMPAT = 0x2 | 0x10
_EXT3_INCOMPAT = _EXT2_INCOMPAT | NEEDS_RECOVERY
_BIGALLOC = 0x200
_EXT3_RO_COMPAT = 0x7
"""sparse_super, large_file, btree_dir: all that ext2 and ext3 have."""


@dataclass(frozen=True, slots=True)
class Superblock:
    """What a reader needs to know of a whole file system."""

    block_size: int
    """Bytes."""
    cluster_size: int
    """Bytes that are allocated at once: a block, or more (bigalloc)."""
    blocks: int
    first_data_block: int
    groups: int
    """Block groups."""
    flexible_groups: int
    """How many of them keep their bitmaps and inode tables together (flex_bg); 1 without that feature."""
    descriptor_blocks: int
    """Of the table of group descriptors (before ``meta_bg`` begins), with those that it may grow into."""
    inodes: int
    inodes_per_group: int
    inode_size: int
    """Bytes."""
    first_inode: int
    """Smallest inode number that is not reserved."""
    compat: int
    incompat: int
    ro_compat: int
    has_errors: bool
    """The kernel found damage and nobody has repaired it since (``EXT4_ERROR_FS``)."""
    checksum_seed: int | None
    """What metadata checksums start from; None where they start from the checksum of ``uuid``."""
    uuid: bytes
    journal: int
    """Inode number of the journal; 0 when it is elsewhere, or there is none."""
    external_journal: str
    """UUID of the device that holds the journal; empty when the journal is inside, or there is none."""

    @property
    def type(self) -> str:
        """The oldest of ext2, ext3 and ext4 that has these features, as blkid(8) says it."""
        if self.ro_compat & ~_EXT3_RO_COMPAT:
            return "ext4"
        if self.compat & _HAS_JOURNAL:
            return "ext4" if self.incompat & ~_EXT3_INCOMPAT else "ext3"
        return "ext4" if self.incompat & ~_EXT2_INCOMPAT else "ext2"

    @property
    def needs_recovery(self) -> bool:
        """Whether the journal holds changes that are not in place yet."""
        return bool(self.incompat & NEEDS_RECOVERY)


def parse(data: bytes) -> Superblock:
    """The superblock in ``data``, the ``SIZE`` bytes at ``OFFSET``; its checksum is libext2fs's business.

    Raises:
        FilesystemError: no ext file system.
        UnsupportedError: a feature that nobody here understands, or a journal device, each by its name.
    """

    def u16(offset: int) -> int:
        return int.from_bytes(data[offset : offset + 2], "little")

    def u32(offset: int) -> int:
        return int.from_bytes(data[offset : offset + 4], "little")

    if u16(0x38) != 0xEF53:
        raise FilesystemError("no ext2, ext3 or ext4 file system: the magic number is missing")
    is_first_revision = u32(0x4C) == 0
    compat, incompat, ro_compat = (0, 0, 0) if is_first_revision else struct.unpack_from("<3I", data, 0x5C)
    _check_features(incompat)
    is_outside = compat & _HAS_JOURNAL and u32(0xE0) == 0
    block_size = 1024 << min(u32(0x18), 6)
    blocks = u32(0x4) | (u32(0x150) << 32 if incompat & WIDE else 0)
    groups = -(-(blocks - u32(0x14)) // max(u32(0x20), 1))
    descriptor_size = u16(0xFE) if incompat & WIDE else 32
    descriptor_blocks = -(-groups * descriptor_size // block_size)
    if incompat & _META_BG:
        descriptor_blocks = min(u32(0x104), descriptor_blocks)
    return Superblock(
        block_size=block_size,
        cluster_size=1024 << min(u32(0x1C if ro_compat & _BIGALLOC else 0x18), 30),
        blocks=blocks,
        first_data_block=u32(0x14),
        groups=groups,
        flexible_groups=1 << min(data[0x174], 31) if incompat & _FLEXIBLE else 1,
        descriptor_blocks=descriptor_blocks + u16(0xCE),
        inodes=u32(0x0),
        inodes_per_group=u32(0x28),
        inode_size=128 if is_first_revision else u16(0x58),
        first_inode=11 if is_first_revision else u32(0x54),
        compat=compat,
        incompat=incompat,
        ro_compat=ro_compat,
        has_errors=bool(u16(0x3A) & _STATE_ERRORS),
        checksum_seed=u32(0x270) if incompat & CHECKSUM_SEED else None,
        uuid=data[0x68:0x78],
        journal=0 if is_outside or not compat & _HAS_JOURNAL else u32(0xE0),
        external_journal=str(uuid.UUID(bytes=data[0xD0:0xE0])) if is_outside else "",
    )


def _check_features(incompat: int) -> None:
    if incompat & JOURNAL_DEVICE:
        raise UnsupportedError(
            "an external ext journal, not a file system", "convert the file system it serves"
        )
    unknown = [1 << bit for bit in range(32) if incompat & 1 << bit and 1 << bit not in UNDERSTOOD]
    if unknown:
        # mke2fs(8) writes a feature without a name as FEATURE_I and its bit.
        names = ", ".join(REFUSED.get(bit, f"FEATURE_I{bit.bit_length() - 1}") for bit in unknown)
        raise UnsupportedError(f"ext file system with features this reader does not know: {names}")
