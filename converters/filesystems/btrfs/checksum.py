"""The checksums of btrfs, over metadata and over data (``btrfs_csum_type`` of ``btrfs_tree.h``)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import google_crc32c
import xxhash

from converters.errors import UnsupportedError

FIELD = 32
"""Bytes that every block of metadata and superblock reserves for its own."""


@dataclass(frozen=True, slots=True)
class Checksum:
    """One of the kinds."""

    size: int
    """Bytes."""
    of: Callable[[bytes], bytes]
    """The checksum of some bytes as it is stored."""

    def is_right(self, block: bytes) -> bool:
        """Whether the checksum at the start of a block of metadata is that of the rest."""
        return self.of(block[FIELD:]) == block[: self.size]


def _crc32c(data: bytes) -> bytes:
    number: int = google_crc32c.value(data)
    return number.to_bytes(4, "little")


_KINDS = {
    0: Checksum(4, _crc32c),
    1: Checksum(8, lambda data: xxhash.xxh64_intdigest(data).to_bytes(8, "little")),
    2: Checksum(32, lambda data: hashlib.sha256(data).digest()),
    3: Checksum(32, lambda data: hashlib.blake2b(data, digest_size=32).digest()),
}


def kind(number: int) -> Checksum:
    """The checksum that the superblock names. Raises ``UnsupportedError``: none that is known here."""
    if number not in _KINDS:
        raise UnsupportedError(f"btrfs with checksums of type {number}, which this reader does not know")
    return _KINDS[number]


def name_hash(name: bytes) -> int:
    """What the keys of directory entries and attributes are made of (``btrfs_name_hash``)."""
    number: int = google_crc32c.extend(1, name)
    return number ^ 0xFFFFFFFF
