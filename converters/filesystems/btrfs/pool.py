"""Logical addresses of btrfs and the devices behind them: chunks, and their RAID profiles."""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from converters.disks.base import Disk
from converters.errors import DiskError, FilesystemError, UnsupportedError
from converters.filesystems.cached import CachedRange

CHUNK_TREE, CHUNK_ITEM = 256, 228
"""Object and type of the key of a chunk, whose offset is the logical address (``BTRFS_CHUNK_ITEM_KEY``)."""

_KEY = struct.Struct("<QBQ")
_CHUNK = struct.Struct("<Q8xQQ12xHH")
"""Bytes, bytes of a stripe, type, stripes, copies among them (``struct btrfs_chunk``)."""
_STRIPE = struct.Struct("<QQ16x")
_STRIPE_LENGTH = 64 << 10
_MOST_CHUNKS = 1 << 20
"""Chunks of data have 1 GiB each."""

_RAID0, _RAID1, _DUP, _RAID10, _RAID5, _RAID6 = 1 << 3, 1 << 4, 1 << 5, 1 << 6, 1 << 7, 1 << 8
_RAID1C3, _RAID1C4, _REMAPPED = 1 << 9, 1 << 10, 1 << 11
_PROFILES = _RAID0 | _RAID1 | _DUP | _RAID10 | _RAID5 | _RAID6 | _RAID1C3 | _RAID1C4 | _REMAPPED
_COPIES = {0: 1, _RAID0: 1, _RAID1: 2, _DUP: 2, _RAID10: 2, _RAID1C3: 3, _RAID1C4: 4}
_REFUSED = {_RAID5: "RAID5", _RAID6: "RAID6", _REMAPPED: "a remapped chunk"}


class Part(NamedTuple):
    """A range of a disk that may hold a device of the file system."""

    disk: Disk
    start: int
    size: int


class Stripe(NamedTuple):
    """A chunk's part on one device."""

    device: int
    offset: int
    """Bytes from the device's start."""


class Chunk(NamedTuple):
    """A range of logical addresses."""

    logical: int
    length: int
    """Bytes."""
    columns: int
    """How many pieces of 64 KiB lie side by side; 1: not striped."""
    copies: int
    stripes: tuple[Stripe, ...]
    """``columns * copies`` of them; the copies of a column follow each other."""


class Pool:
    """Reads logical addresses of the file system on ``devices``, by their numbers."""

    def __init__(self, devices: Mapping[int, CachedRange]) -> None:
        self.devices = devices
        self._chunks: list[Chunk] = []
        self._starts: list[int] = []

    def use(self, chunks: Iterable[Chunk]) -> None:
        """Know these chunks, and no others.

        Raises:
            FilesystemError: they overlap.
            UnsupportedError: one lies on a device that is missing.
        """
        self._chunks = []
        for chunk in chunks:
            missing = {stripe.device for stripe in chunk.stripes} - self.devices.keys()
            if missing:
                raise UnsupportedError(
                    f"btrfs whose device {min(missing)} is missing", "give the disk that holds it too"
                )
            self._chunks.append(chunk)
            if len(self._chunks) > _MOST_CHUNKS:
                raise FilesystemError(f"btrfs with more than {_MOST_CHUNKS} chunks")
        self._chunks.sort()
        end = 0
        for chunk in self._chunks:
            if chunk.logical < end:
                raise FilesystemError(f"chunks of btrfs overlap at {chunk.logical}")
            end = chunk.logical + chunk.length
        self._starts = [chunk.logical for chunk in self._chunks]

    def chunk(self, logical: int) -> Chunk:
        """The chunk of an address. Raises ``FilesystemError``: there is none."""
        index = bisect_right(self._starts, logical) - 1
        if index >= 0:
            chunk = self._chunks[index]
            if logical < chunk.logical + chunk.length:
                return chunk
        raise FilesystemError(f"logical address {logical} of btrfs lies in no chunk")

    def copies(self, length: int, logical: int) -> Iterator[bytes]:
        """Each copy of ``length`` bytes in turn, as long as the caller asks; those that cannot be read are
        passed over.

        Raises:
            FilesystemError: the bytes lie in no chunk, or in several that keep different numbers of copies.
            DiskError: no copy can be read.
        """
        failure: DiskError | None = None
        count = self.chunk(logical).copies
        for copy in range(count):
            try:
                data = b"".join(self._pieces(length, logical, copy))
            except DiskError as error:
                failure = error
                continue
            yield data
        if failure is not None:
            raise failure

    def _pieces(self, length: int, logical: int, copy: int) -> Iterator[bytes]:
        while length > 0:
            chunk = self.chunk(logical)
            if copy >= chunk.copies:
                raise FilesystemError(f"data of btrfs at {logical} reach into another chunk")
            inside = logical - chunk.logical
            count = min(length, chunk.length - inside)
            column, row = 0, inside
            if chunk.columns > 1:
                number, rest = divmod(inside, _STRIPE_LENGTH)
                count = min(count, _STRIPE_LENGTH - rest)
                column, row = number % chunk.columns, number // chunk.columns * _STRIPE_LENGTH + rest
            stripe = chunk.stripes[column * chunk.copies + copy]
            yield self.devices[stripe.device].read(count, stripe.offset + row)
            length -= count
            logical += count


def parse_chunk(logical: int, item: bytes, sector: int) -> Chunk:
    """The chunk that an item of the tree of chunks describes.

    Raises:
        FilesystemError: damaged.
        UnsupportedError: a RAID profile that is not read here, by its name.
    """
    if len(item) < _CHUNK.size:
        raise FilesystemError(f"the chunk of btrfs at {logical} is damaged")
    length, stripe_length, kind, count, copies = _CHUNK.unpack_from(item)
    profile = kind & _PROFILES
    for bit, name in _REFUSED.items():
        if profile & bit:
            raise UnsupportedError(f"btrfs with {name}, which this reader does not read")
    expected = _COPIES.get(profile)
    sound = (
        expected is not None
        and stripe_length == _STRIPE_LENGTH
        and 0 < length < 1 << 63
        and not length % sector
        and not logical % sector
        and logical + length < 1 << 64
        and len(item) == _CHUNK.size + count * _STRIPE.size
    )
    if not sound or expected is None or count < expected or count % expected:
        raise FilesystemError(f"the chunk of btrfs at {logical} is damaged")
    striped = profile in (_RAID0, _RAID10)
    if (not striped and count != expected) or (profile == _RAID10 and copies != expected):
        raise FilesystemError(f"the chunk of btrfs at {logical} is damaged")
    stripes = tuple(Stripe(*_STRIPE.unpack_from(item, _CHUNK.size + i * _STRIPE.size)) for i in range(count))
    return Chunk(logical, length, count // expected, expected, stripes)


def parse_array(array: bytes, sector: int) -> Iterator[Chunk]:
    """The chunks in the superblock, each a key and an item.

    Raises:
        FilesystemError: damaged.
        UnsupportedError: see ``parse_chunk``.
    """
    place = 0
    while place < len(array):
        end = place + _KEY.size + _CHUNK.size
        if end > len(array):
            raise FilesystemError("the superblock of btrfs ends within a chunk")
        objectid, kind, logical = _KEY.unpack_from(array, place)
        stripes = _CHUNK.unpack_from(array, place + _KEY.size)[3]
        end += stripes * _STRIPE.size
        if (objectid, kind) != (CHUNK_TREE, CHUNK_ITEM) or end > len(array):
            raise FilesystemError("the chunks in the superblock of btrfs are damaged")
        yield parse_chunk(logical, array[place + _KEY.size : end], sector)
        place = end
