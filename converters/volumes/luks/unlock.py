"""From a passphrase to the volume's key, and to its decrypted disk."""

from __future__ import annotations

import hashlib
import hmac

from cryptography.hazmat.primitives.kdf.argon2 import Argon2i, Argon2id

from converters.disks.base import Disk
from converters.errors import DiskError, UnsupportedError
from converters.volumes.base import Volume
from converters.volumes.luks import header
from converters.volumes.luks.cipher import SECTOR, DecryptedDisk, sector_cipher
from converters.volumes.luks.header import Derivation, Header, Slot
from converters.volumes.luks.keys import KeyFolder

_MOST_ITERATIONS = 100_000_000
"""Of PBKDF2: some 40 s. cryptsetup(8) aims at 2 s of the machine that made the volume."""
_MOST_MEMORY_KIB = 4 << 20
"""Of Argon2: what the format allows."""
_MOST_PASSED_KIB = 64 << 20
"""Memory times passes of Argon2: about a minute."""


def unlock(disk: Disk, volume: Volume, keys: KeyFolder) -> DecryptedDisk | None:
    """The decrypted disk of the encrypted ``volume`` of ``disk``; None where there is no key for it.

    Raises:
        UnsupportedError: the key opens none of its slots, or the volume has what is not read.
        DiskError: its header is damaged, or the disk cannot be read.
    """
    found = header.read(disk, volume)
    candidates = keys.candidates(found.uuid)
    if not candidates:
        return None
    for passphrase in candidates:
        for slot in found.slots:
            if (key := _volume_key(disk, volume, found, slot, passphrase)) is not None:
                size = volume.size - found.offset if found.size is None else found.size
                if size <= 0 or found.offset + size > volume.size:
                    raise DiskError("the header of an encrypted volume makes no sense")
                decrypt = sector_cipher(found.encryption, key)
                start = volume.start + found.offset
                return DecryptedDisk(disk, start, size, decrypt, found.sector, found.tweak)
    raise UnsupportedError(
        f"the key {found.uuid} that was given opens none of its {len(found.slots)} key slots",
        "the file named by this UUID must hold the passphrase, or the key file's bytes, exactly",
    )


def _volume_key(disk: Disk, volume: Volume, found: Header, slot: Slot, passphrase: bytes) -> bytes | None:
    """The volume's key out of ``slot``; None when the passphrase is not that slot's."""
    area_key = _derive(slot.derivation, passphrase, slot.area_key_bytes)
    size = slot.key_bytes * slot.stripes
    stored = -(-size // SECTOR) * SECTOR
    if slot.offset + stored > volume.size:
        raise DiskError("a key slot of an encrypted volume lies outside it")
    decrypt = sector_cipher(slot.encryption, area_key)
    area = DecryptedDisk(disk, volume.start + slot.offset, stored, decrypt, SECTOR, 0)
    key = _merged(area.pread(size, 0), slot.key_bytes, slot.hash)
    told = _derive(found.digest.derivation, key, len(found.digest.value))
    return key if hmac.compare_digest(told, found.digest.value) else None


def _derive(derivation: Derivation, secret: bytes, length: int) -> bytes:
    if not 0 < length <= 512:
        raise DiskError("the header of an encrypted volume makes no sense")
    if derivation.kind == "pbkdf2":
        if not 0 < derivation.iterations <= _MOST_ITERATIONS:
            raise UnsupportedError(f"{derivation.iterations} iterations for a key of an encrypted volume")
        return hashlib.pbkdf2_hmac(derivation.hash, secret, derivation.salt, derivation.iterations, length)
    memory, passes = derivation.memory_kib, derivation.iterations
    if memory > _MOST_MEMORY_KIB or memory * passes > _MOST_PASSED_KIB:
        raise UnsupportedError(f"{passes} passes over {memory} KiB for a key of an encrypted volume")
    argon2 = Argon2id if derivation.kind == "argon2id" else Argon2i
    try:
        return argon2(
            salt=derivation.salt,
            length=length,
            iterations=passes,
            lanes=derivation.lanes,
            memory_cost=memory,
        ).derive(secret)
    except (ValueError, TypeError) as error:
        raise DiskError(f"the header of an encrypted volume makes no sense: {error}") from None


def _merged(stripes: bytes, length: int, name: str) -> bytes:
    """The key out of its anti-forensic stripes (LUKS1 specification, section 2.4)."""
    block = bytes(length)
    for place in range(0, len(stripes) - length, length):
        block = _diffused(_xor(block, stripes[place : place + length]), name)
    return _xor(block, stripes[-length:])


def _diffused(block: bytes, name: str) -> bytes:
    width = hashlib.new(name).digest_size
    return b"".join(
        hashlib.new(name, index.to_bytes(4, "big") + block[place : place + width]).digest()[
            : len(block) - place
        ]
        for index, place in enumerate(range(0, len(block), width))
    )


def _xor(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).to_bytes(len(one), "big")
