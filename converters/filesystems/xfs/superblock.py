"""The superblock of XFS: geometry and features (``libxfs/xfs_format.h``). Its numbers are big-endian."""

from __future__ import annotations

from dataclasses import dataclass

from converters.errors import FilesystemError, UnsupportedError
from converters.filesystems.xfs import checksum

SIZE = 512
"""Bytes of the smallest sector; the checksum covers a whole one."""
MAGIC = b"XFSB"

_CHECKSUM = 224
LARGEST_SECTOR = 32768
_LARGEST_INODE = 2048
_LARGEST_DIRECTORY_BLOCK = 65536

_VERSION_4, _VERSION_5 = 4, 5
_HAS_UNWRITTEN, _HAS_DIRECTORIES_2, _FOLDS_CASE, _HAS_MORE = 0x1000, 0x2000, 0x4000, 0x8000
_FEATURES2_FTYPE = 0x200
_FTYPE, _META_UUID, _NREXT64 = 0x1, 0x4, 0x20
UNDERSTOOD = {
    _FTYPE: "ftype",
    0x2: "sparse inodes",
    _META_UUID: "meta_uuid",
    0x8: "bigtime",
    _NREXT64: "nrext64",
    0x40: "exchange range",
    0x80: "parent pointers",
}
"""INCOMPAT features of version 5 that are read exactly."""
REFUSED = {0x10: "needs repair", 0x100: "metadata directory", 0x200: "zoned", 0x400: "gaps in the zones"}
"""INCOMPAT features known by name alone."""


@dataclass(frozen=True, slots=True)
class Superblock:
    """What a reader needs to know of a whole file system."""

    block_size: int
    """Bytes."""
    sector_size: int
    """Bytes."""
    blocks: int
    root: int
    """Inode number of the root directory."""
    log_start: int
    """The log's first block as numbers in extents count; 0: the log is on a device of its own."""
    log_blocks: int
    group_blocks: int
    """Blocks of each allocation group; the last may have fewer."""
    groups: int
    inode_size: int
    """Bytes."""
    inode_bits: int
    """Bits of an inode's place in its block (``sb_inopblog``)."""
    group_bits: int
    """Bits of a block's number in its group (``sb_agblklog``)."""
    directory_block_size: int
    """Bytes."""
    has_checksums: bool
    """Version 5: metadata carry a checksum and say what they are."""
    has_types: bool
    """Whether directories say what their entries are (``ftype``)."""
    folds_case: bool
    """Whether names that differ in the case of ASCII letters are one (``mkfs.xfs -n version=ci``)."""
    uuid: bytes
    """As metadata carry it, which is not what blkid(8) shows once it was changed (``meta_uuid``)."""

    def block_offset(self, number: int) -> int:
        """Where the block ``number``, as extents count, lies: bytes from the start of the file system.

        Raises:
            FilesystemError: outside the file system.
        """
        group, block = number >> self.group_bits, number & (1 << self.group_bits) - 1
        linear = group * self.group_blocks + block
        if group >= self.groups or block >= self.group_blocks or linear >= self.blocks:
            raise FilesystemError(f"disk block {number} lies outside the file system")
        return linear * self.block_size

    def inode_offset(self, number: int) -> int:
        """Where the inode ``number`` lies: bytes from the start of the file system.

        Raises:
            FilesystemError: outside the file system.
        """
        try:
            block = self.block_offset(number >> self.inode_bits)
        except FilesystemError:
            raise FilesystemError(f"a name leads to inode {number}, which can have none") from None
        return block + (number & (1 << self.inode_bits) - 1) * self.inode_size


def parse(sector: bytes) -> Superblock:
    """The superblock in the first bytes of the volume, ``LARGEST_SECTOR`` of them or all that there are.

    Raises:
        FilesystemError: no XFS, or damaged.
        UnsupportedError: a version or feature that nobody here understands, or a log elsewhere, by its name.
    """

    def number(offset: int, length: int) -> int:
        return int.from_bytes(sector[offset : offset + length], "big")

    if sector[:4] != MAGIC or len(sector) < SIZE:
        raise FilesystemError("no XFS: the magic number is missing")
    flags = number(100, 2)
    version, sector_size = flags & 0xF, number(102, 2)
    if version not in (_VERSION_4, _VERSION_5) or not flags & _HAS_DIRECTORIES_2:
        raise UnsupportedError(f"XFS of version {version} with flags {flags:#x}, older than 2001")
    is_5 = version == _VERSION_5
    if is_5 and not checksum.is_right(sector[:sector_size], _CHECKSUM):
        raise FilesystemError("wrong checksum in the superblock of XFS")
    incompat = number(216, 4) if is_5 else 0
    _check_features(incompat)
    found = Superblock(
        block_size=number(4, 4),
        sector_size=sector_size,
        blocks=number(8, 8),
        root=number(56, 8),
        log_start=number(48, 8),
        log_blocks=number(96, 4),
        group_blocks=number(84, 4),
        groups=number(88, 4),
        inode_size=number(104, 2),
        inode_bits=number(123, 1),
        group_bits=number(124, 1),
        directory_block_size=number(4, 4) << min(number(192, 1), 16),
        has_checksums=is_5,
        has_types=bool(
            incompat & _FTYPE if is_5 else flags & _HAS_MORE and number(200, 4) & _FEATURES2_FTYPE
        ),
        folds_case=bool(flags & _FOLDS_CASE),
        uuid=sector[248:264] if incompat & _META_UUID else sector[32:48],
    )
    _check_geometry(found)
    if not found.log_start:
        raise UnsupportedError(
            "XFS with its log on another device", "give that disk too, and use --engines guestfs"
        )
    return found


def _check_features(incompat: int) -> None:
    unknown = [1 << bit for bit in range(32) if incompat & 1 << bit and 1 << bit not in UNDERSTOOD]
    if unknown:
        names = ", ".join(REFUSED.get(bit, f"bit {bit.bit_length() - 1}") for bit in unknown)
        raise UnsupportedError(f"XFS with features this reader does not know: {names}")


def _check_geometry(found: Superblock) -> None:
    """What the arithmetic of a reader relies on."""
    size = found.block_size
    sizes = (size, found.sector_size, found.inode_size, found.directory_block_size)
    sound = (
        all(one and not one & one - 1 for one in sizes)
        and 512 <= found.sector_size <= min(size, LARGEST_SECTOR)
        and size <= found.directory_block_size <= _LARGEST_DIRECTORY_BLOCK
        and 256 <= found.inode_size <= min(size, _LARGEST_INODE)
        and found.inode_size << found.inode_bits == size
        and 0 < found.group_blocks <= 1 << found.group_bits <= 1 << 31
        and 0 < found.blocks <= found.groups * found.group_blocks
    )
    if not sound:
        raise FilesystemError("the superblock of XFS contradicts itself")
