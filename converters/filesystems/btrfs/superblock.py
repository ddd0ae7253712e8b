"""The superblock of btrfs and its copies (``struct btrfs_super_block``). All numbers are little-endian."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from converters.errors import FilesystemError, UnsupportedError
from converters.filesystems.btrfs import checksum
from converters.filesystems.btrfs.checksum import Checksum
from converters.filesystems.cached import CachedRange

SIZE = 4096
MAGIC = b"_BHRfS_M"
PLACES = (64 << 10, 64 << 20, 256 << 30)
"""Where a device has its copies, as far as it reaches: bytes."""
DEEPEST = 8
"""Levels of the tallest tree (``BTRFS_MAX_LEVEL``)."""

_HEAD = struct.Struct("<16sQQ8sQQQQ32xQII8xIQ16xQHBBB")
"""From byte 32: UUID, own place, flags, magic, generation; the trees of roots, of chunks and of the log;
devices; bytes of a sector, of a node, of the array of chunks; generation of the tree of chunks, features,
kind of checksum, levels of the three trees."""
_DEVICE = struct.Struct("<Q")
_DEVICE_PLACE = 201
_METADATA_UUID = slice(571, 587)
_CHUNKS = 811
_MOST_CHUNKS = 2048

_NO_HOLES, _METADATA_UUID_FLAG = 1 << 9, 1 << 10
UNDERSTOOD = {
    1 << 0: "mixed backreferences",
    1 << 1: "default subvolume",
    1 << 2: "mixed block groups",
    1 << 3: "LZO",
    1 << 4: "Zstandard",
    1 << 5: "large metadata",
    1 << 6: "extended inode references",
    1 << 7: "RAID5 or RAID6",  # stays when the last such chunk is gone: chunks themselves are looked at
    1 << 8: "skinny metadata",
    _NO_HOLES: "no holes",
    _METADATA_UUID_FLAG: "metadata UUID",
    1 << 11: "RAID1C3 or RAID1C4",
    1 << 16: "simple quotas",
}
"""INCOMPAT features that are read exactly."""
REFUSED = {
    1 << 12: "zoned",
    1 << 13: "extent tree v2",
    1 << 14: "RAID stripe tree",
    1 << 15: "encryption",
    1 << 17: "remap tree",
}
"""INCOMPAT features known by name alone."""
_REFUSED_STATES = {
    1 << 32: "it is a seeding device",
    1 << 33: "it is an image of metadata alone (btrfs-image)",
    1 << 34: "it is an image of metadata alone (btrfs-image)",
    1 << 35: "the change of its UUID was not finished",
    1 << 36: "the change of its UUID was not finished",
    1 << 38: "a conversion to the block group tree was not finished",
    1 << 39: "a change of its checksums was not finished",
    1 << 40: "a change of its checksums was not finished",
}
_HAS_ERROR = 1 << 2


@dataclass(frozen=True, slots=True)
class Superblock:
    """What one device says of the file system it belongs to."""

    uuid: bytes
    """That of the file system, which blkid(8) shows."""
    metadata_uuid: bytes
    """The one that blocks of metadata carry."""
    device: int
    """Number of the device."""
    devices: int
    """How many there are."""
    generation: int
    sector_size: int
    """Bytes."""
    node_size: int
    """Bytes."""
    checksum: Checksum
    root: int
    """Logical address of the tree of roots."""
    root_level: int
    chunk_root: int
    chunk_level: int
    chunk_generation: int
    log_root: int
    """Logical address of the tree of logs; 0 when there is nothing to replay."""
    log_level: int
    no_holes: bool
    """Whether a hole of a file needs no item."""
    chunks: bytes
    """Chunks that hold the tree of chunks: keys and items."""
    has_errors: bool
    """Whether the kernel had found damage."""
    is_copy: bool
    """Whether the first one was damaged."""


def read(device: CachedRange) -> Superblock:
    """The superblock of a device; when the first is damaged, the newest of its copies.

    Raises:
        FilesystemError: no btrfs, or every copy is damaged.
        UnsupportedError: a feature that nobody here understands, by its name.
        DiskError: the disk cannot be read.
    """
    first: FilesystemError | None = None
    copies: list[Superblock] = []
    for place in PLACES:
        if place + SIZE > device.size:
            break
        try:
            found = _parse(device.read(SIZE, place), place)
        except FilesystemError as error:
            first = first or error
            continue
        if place == PLACES[0]:
            return found
        copies.append(found)
    if copies:
        return max(copies, key=lambda copy: copy.generation)
    raise first or FilesystemError("no btrfs: the volume is too short")


def _parse(block: bytes, place: int) -> Superblock:
    head = _HEAD.unpack_from(block, checksum.FIELD)
    uuid, own, flags, magic, generation, root, chunk_root, log_root, devices, sector, node, array = head[:12]
    chunk_generation, features, kind, root_level, chunk_level, log_level = head[12:]
    if magic != MAGIC:
        raise FilesystemError("no btrfs: the magic number is missing")
    used = checksum.kind(kind)
    if not used.is_right(block):
        raise FilesystemError("wrong checksum in the superblock of btrfs")
    _check_features(features, flags)
    sound = (
        own == place
        and _is_power(sector, 512, 65536)
        and _is_power(node, max(sector, 4096), 65536)
        and max(root_level, chunk_level, log_level) < DEEPEST
        and array <= _MOST_CHUNKS
        and devices
    )
    if not sound:
        raise FilesystemError("the superblock of btrfs contradicts itself")
    return Superblock(
        uuid=uuid,
        metadata_uuid=block[_METADATA_UUID] if features & _METADATA_UUID_FLAG else uuid,
        device=_DEVICE.unpack_from(block, _DEVICE_PLACE)[0],
        devices=devices,
        generation=generation,
        sector_size=sector,
        node_size=node,
        checksum=used,
        root=root,
        root_level=root_level,
        chunk_root=chunk_root,
        chunk_level=chunk_level,
        chunk_generation=chunk_generation,
        log_root=log_root,
        log_level=log_level,
        no_holes=bool(features & _NO_HOLES),
        chunks=block[_CHUNKS : _CHUNKS + array],
        has_errors=bool(flags & _HAS_ERROR),
        is_copy=place != PLACES[0],
    )


def _check_features(features: int, flags: int) -> None:
    unknown = [1 << bit for bit in range(64) if features & 1 << bit and 1 << bit not in UNDERSTOOD]
    if unknown:
        names = ", ".join(REFUSED.get(bit, f"bit {bit.bit_length() - 1}") for bit in unknown)
        raise UnsupportedError(f"btrfs with features this reader does not know: {names}")
    for state, reason in _REFUSED_STATES.items():
        if flags & state:
            raise UnsupportedError(f"btrfs that this reader does not read: {reason}")


def _is_power(number: int, least: int, most: int) -> bool:
    return least <= number <= most and not number & number - 1
