"""Puts the devices of a btrfs together: superblocks, then the chunks, then whether any device is missing."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence

from converters.errors import FilesystemError, UnsupportedError
from converters.filesystems.btrfs import pool, superblock
from converters.filesystems.btrfs.pool import Part, Pool
from converters.filesystems.btrfs.superblock import Superblock
from converters.filesystems.btrfs.tree import LAST, Blocks, Pointer, Tree
from converters.filesystems.cached import CachedRange
from converters.filesystems.memory import Memory

_DEVICES, _DEVICE_ITEM = 1, 216
"""Object and type of the key of a device, whose offset is its number (``BTRFS_DEV_ITEM_KEY``)."""
_DEVICE = struct.Struct("<QQ66x16s")
"""Number, bytes, UUID of the file system that it was made for (``struct btrfs_dev_item``)."""
_MOST_DEVICES = 1024
_HINT = "give all disks of the guest"


def open_devices(first: Part, others: Sequence[Part], memory: Memory) -> tuple[Pool, Blocks, Superblock]:
    """The file system one of whose devices is ``first``; the rest of them is looked for among ``others``.

    The newest superblock counts, as it does for the kernel.

    Raises:
        FilesystemError: no btrfs, or damaged.
        UnsupportedError: a feature that nobody here understands, or a device is missing.
        DiskError: a disk cannot be read.
    """
    found = _find(first, others, memory)
    newest = max((one for one, _ in found.values()), key=lambda one: one.generation)
    devices = {number: device for number, (_, device) in found.items()}
    space = Pool(devices)
    space.use(pool.parse_array(newest.chunks, newest.sector_size))
    blocks = Blocks(space, newest.node_size, newest.metadata_uuid, newest.checksum, memory)
    chunks = Tree(blocks, Pointer(newest.chunk_root, newest.chunk_level, newest.chunk_generation))
    _check_devices(chunks, newest, devices)
    space.use(
        pool.parse_chunk(item.offset, item.data, newest.sector_size)
        for item in chunks.items(
            (pool.CHUNK_TREE, pool.CHUNK_ITEM, 0), (pool.CHUNK_TREE, pool.CHUNK_ITEM, LAST)
        )
    )
    return space, blocks, newest


def _find(first: Part, others: Sequence[Part], memory: Memory) -> dict[int, tuple[Superblock, CachedRange]]:
    device = CachedRange(*first, memory)
    own = superblock.read(device)
    found = {own.device: (own, device)}
    for part in others if own.devices > 1 else ():
        device = CachedRange(*part, memory)
        try:
            other = superblock.read(device)
        except FilesystemError:
            continue
        if other.uuid == own.uuid and other.device not in found:
            found[other.device] = (other, device)
    return found


def _check_devices(chunks: Tree, newest: Superblock, devices: Mapping[int, CachedRange]) -> None:
    """Compare what the tree of chunks tells of the devices with those that are here."""
    listed = list(_listed(chunks))
    if len(listed) != newest.devices:
        raise FilesystemError(f"btrfs of {newest.devices} devices lists {len(listed)}")
    for number, size, uuid in listed:
        if uuid != newest.metadata_uuid:
            raise UnsupportedError(f"btrfs that grew out of a seeding device (device {number})")
        if number not in devices:
            raise UnsupportedError(
                f"btrfs of {len(listed)} devices, of which device {number} is missing", _HINT
            )
        if size > devices[number].size:
            raise FilesystemError(
                f"device {number} of btrfs is {size} bytes long, its volume only {devices[number].size}"
            )


def _listed(chunks: Tree) -> Iterator[tuple[int, int, bytes]]:
    """Number, bytes and file system of each device."""
    items = chunks.items((_DEVICES, _DEVICE_ITEM, 0), (_DEVICES, _DEVICE_ITEM, LAST))
    for count, item in enumerate(items):
        if len(item.data) != _DEVICE.size or count >= _MOST_DEVICES:
            raise FilesystemError("the devices that btrfs lists are damaged")
        yield _DEVICE.unpack(item.data)
