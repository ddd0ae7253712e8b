"""The sectors of an encrypted volume as dm-crypt decrypts them (Linux, device-mapper/dm-crypt.rst)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from converters.disks.base import Disk
from converters.errors import UnsupportedError

SECTOR = 512
"""Bytes that initialisation vectors count, whatever the volume's own sector size."""

Decrypt = Callable[[bytes, int], bytes]
"""One sector, and its number in units of 512 bytes."""


def sector_cipher(encryption: str, key: bytes) -> Decrypt:
    """The function that decrypts a sector; ``encryption`` is dm-crypt's, such as ``aes-xts-plain64``.

    Raises:
        UnsupportedError: another cipher, mode or kind of vector, or a key of the wrong length.
    """
    cipher, _, mode = encryption.partition("-")
    chain, _, vector = mode.partition("-")
    width = {"plain": 4, "plain64": 8}.get(vector, 0)
    if cipher != "aes" or len(key) not in ((32, 64) if chain == "xts" else (16, 24, 32)):
        raise _unknown(encryption)
    algorithm = algorithms.AES(key)
    if chain == "xts" and width:

        def xts(data: bytes, number: int) -> bytes:
            return Cipher(algorithm, modes.XTS(_counted(number, width))).decryptor().update(data)

        return xts
    if chain == "cbc" and (width or vector == "essiv:sha256"):
        hidden = Cipher(algorithms.AES(hashlib.sha256(key).digest()), modes.ECB()).encryptor()

        def cbc(data: bytes, number: int) -> bytes:
            start = _counted(number, width) if width else hidden.update(_counted(number, 8))
            return Cipher(algorithm, modes.CBC(start)).decryptor().update(data)

        return cbc
    raise _unknown(encryption)


def _counted(number: int, width: int) -> bytes:
    """A sector's number as a vector of 16 bytes; ``plain`` keeps 32 bits of it."""
    return (number & ((1 << 8 * width) - 1)).to_bytes(16, "little")


def _unknown(encryption: str) -> UnsupportedError:
    return UnsupportedError(f"the cipher {encryption} of an encrypted volume is not read")


class DecryptedDisk:
    """``size`` bytes of ``disk`` from ``start``, decrypted; the disk stays its owner's."""

    def __init__(self, disk: Disk, start: int, size: int, decrypt: Decrypt, sector: int, tweak: int) -> None:
        """``sector`` in bytes; ``tweak`` is added to the sectors' numbers."""
        self._disk = disk
        self._start = start
        self._size = size - size % sector
        self._decrypt = decrypt
        self._sector = sector
        self._tweak = tweak

    @property
    def size(self) -> int:
        """Size in bytes."""
        return self._size

    def pread(self, length: int, offset: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``; shorter only at the end of the disk.

        Raises:
            DiskError: the disk below cannot be read.
        """
        end = min(offset + length, self._size)
        if offset >= end:
            return b""
        first = offset - offset % self._sector
        last = -(-end // self._sector) * self._sector
        data = self._disk.pread(last - first, self._start + first)
        number = first // SECTOR + self._tweak
        step = self._sector // SECTOR
        plain = b"".join(
            self._decrypt(data[place : place + self._sector], number + index * step)
            for index, place in enumerate(range(0, len(data), self._sector))
        )
        return plain[offset - first : end - first]

    def close(self) -> None:
        """Nothing to release."""
