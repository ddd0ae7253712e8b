"""What Linux verifies of a block of a directory (``__xfs_dir3_data_check`` in its ``xfs_dir2_data.c``).

A block with a checksum is as it was written. One of version 4 has none: a name with a flipped bit is a good
name, and only the index in the same block tells that it is none of the directory's.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import pairwise

from converters.errors import FilesystemError

_LARGEST_FREE = struct.Struct(">6H")
"""Offset and length of the three largest free spaces, after the magic number."""
_LARGEST_FREE_OFFSET, _LARGEST_FREE_COUNT = 4, 3
_TAG = struct.Struct(">H")
_INDEX_ENTRY = struct.Struct(">II")
"""Hash of a name, and where its entry is."""
_ADDRESS_UNIT = 8
_UNUSED = 0
"""Address of an entry of the index that is not used."""
_WORD = (1 << 32) - 1


class BlockCheck:
    """One block of a directory without checksums, checked as its entries are read.

    Args:
        block: the whole block.
        index: the bytes of the index in a directory of one block; None where it is in blocks of its own.
        unused: how many entries of the index are not used.
    """

    def __init__(self, block: bytes, index: bytes | None, unused: int) -> None:
        self._block = block
        self._largest = dict(_largest_free(block))
        self._missing = set(self._largest)
        self._after_free = False
        self._used = 0
        self._index = None if index is None else _index(index, unused)

    def free(self, place: int, length: int) -> None:
        """A free space of the block.

        Raises:
            FilesystemError: it is not what the block says of it.
        """
        known = self._largest.get(place)
        is_sound = (
            not self._after_free
            and length >= 2 * _TAG.size
            and _TAG.unpack_from(self._block, place + length - _TAG.size) == (place,)
            and (known == length if known is not None else self._fits_below(length))
        )
        if not is_sound:
            raise FilesystemError(f"free space at byte {place} of a block is not as the block says")
        self._missing.discard(place)
        self._after_free = True

    def entry(self, place: int, end: int, name: bytes) -> None:
        """An entry of the block, from byte ``place`` up to ``end``.

        Raises:
            FilesystemError: it is not as the block says.
        """
        self._after_free = False
        self._used += 1
        if _TAG.unpack_from(self._block, end - _TAG.size) != (place,):
            raise FilesystemError(f"the entry at byte {place} of a block does not end as it begins")
        if self._index is not None and (name_hash(name), place // _ADDRESS_UNIT) not in self._index:
            raise FilesystemError(f"the name at byte {place} of a block is not in the index")

    def end(self) -> None:
        """The block has no more.

        Raises:
            FilesystemError: something that it tells of is missing.
        """
        if self._missing:
            raise FilesystemError("a block's largest free spaces are not where it says")
        if self._index is not None and self._used != len(self._index):
            raise FilesystemError("a block has more or fewer names than its index")

    def _fits_below(self, length: int) -> bool:
        """Whether a free space may be none of the three largest."""
        return len(self._largest) == _LARGEST_FREE_COUNT and length <= min(self._largest.values())


def _largest_free(block: bytes) -> Iterator[tuple[int, int]]:
    """Offsets and lengths of the largest free spaces, largest first.

    Raises:
        FilesystemError: out of order.
    """
    values = _LARGEST_FREE.unpack_from(block, _LARGEST_FREE_OFFSET)
    pairs = list(zip(values[::2], values[1::2], strict=True))
    if any(before[1] < after[1] for before, after in pairwise(pairs)):
        raise FilesystemError("a block's largest free spaces are out of order")
    for offset, length in pairs:
        if bool(offset) != bool(length):
            raise FilesystemError("one of a block's largest free spaces is nowhere")
        if length:
            yield offset, length


def _index(index: bytes, unused: int) -> set[tuple[int, int]]:
    """Hash and address of each name.

    Raises:
        FilesystemError: out of order, or another number than the block says.
    """
    entries = list(_INDEX_ENTRY.iter_unpack(index))
    if any(before[0] > after[0] for before, after in pairwise(entries)):
        raise FilesystemError("the index of a block is out of order")
    used = {entry for entry in entries if entry[1] != _UNUSED}
    if len(entries) - unused != len(used):
        raise FilesystemError("the index of a block has more or fewer unused entries than it says")
    return used


def name_hash(name: bytes) -> int:
    """The hash of a name in an index (``xfs_da_hashname``)."""
    digest = 0
    whole = len(name) // 4 * 4
    for place in range(0, whole, 4):
        first, second, third, fourth = name[place : place + 4]
        digest = first << 21 ^ second << 14 ^ third << 7 ^ fourth ^ _rotated(digest, 28)
    rest = name[whole:]
    if rest:
        digest = _rotated(digest, 7 * len(rest))
    for place, byte in enumerate(reversed(rest)):
        digest ^= byte << 7 * place
    return digest


def _rotated(value: int, bits: int) -> int:
    return (value << bits | value >> 32 - bits) & _WORD
