"""Headers of LUKS1 and LUKS2 (their on-disk format specifications, 1.2.3 and 1.1.4)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from converters.disks.base import Disk
from converters.errors import DiskError, UnsupportedError
from converters.volumes.base import Volume

_FIRST, _SECOND = b"LUKS\xba\xbe", b"SKUL\xba\xbe"
_ONE = struct.Struct(">6sH32s32s32sII20s32sI40s")
_SLOT = struct.Struct(">II32sII")
_ONE_SLOTS, _ENABLED = 8, 0x00AC71F3
_TWO = struct.Struct(">6sHQQ48s32s64s40s48sQ")
_BINARY, _CHECKSUM, _CHECKSUM_BYTES = 4096, 448, 64
_SIZES = tuple(0x4000 << shift for shift in range(9))
"""Bytes of a LUKS2 header, and so where the second one lies."""
_SECTOR = 512
_MOST_STRIPES = 8000
_LARGEST_KEY = 512
HASHES = frozenset({"sha1", "sha224", "sha256", "sha384", "sha512"})


@dataclass(frozen=True, slots=True)
class Derivation:
    """How a key is made from a passphrase."""

    kind: str
    """``pbkdf2``, ``argon2i`` or ``argon2id``."""
    salt: bytes
    iterations: int
    hash: str = ""
    memory_kib: int = 0
    lanes: int = 1


@dataclass(frozen=True, slots=True)
class Slot:
    """A place where the volume's key is kept under a passphrase."""

    derivation: Derivation
    encryption: str
    area_key_bytes: int
    offset: int
    """Bytes from the volume's start."""
    key_bytes: int
    stripes: int
    hash: str
    """Of the anti-forensic splitter."""


@dataclass(frozen=True, slots=True)
class Digest:
    """What tells the right key."""

    derivation: Derivation
    value: bytes


@dataclass(frozen=True, slots=True)
class Header:
    """All that is needed to open a volume."""

    uuid: str
    slots: tuple[Slot, ...]
    digest: Digest
    encryption: str
    offset: int
    """Bytes from the volume's start to the encrypted data."""
    size: int | None
    """Bytes of the data; None: up to the volume's end."""
    sector: int
    tweak: int
    is_second: bool = False
    """Whether it was read from the second place because the first is damaged."""


def read(disk: Disk, volume: Volume) -> Header:
    """The header of the encrypted ``volume`` of ``disk``.

    Raises:
        DiskError: damaged, or contradicting itself.
        UnsupportedError: something in it is not understood.
    """
    head = disk.pread(_ONE.size + _ONE_SLOTS * _SLOT.size, volume.start)
    if head.startswith(_FIRST) and len(head) == _ONE.size + _ONE_SLOTS * _SLOT.size and head[6:8] == b"\0\1":
        return _one(head)
    found = [
        (sequence, -place, metadata, uuid)
        for place in (0, *_SIZES)
        if (copy := _copy(disk, volume, place)) is not None
        for sequence, metadata, uuid in (copy,)
    ]
    if not found:
        raise DiskError("both headers of an encrypted volume are damaged")
    _, place, metadata, uuid = max(found, key=lambda copy: copy[:2])
    try:
        return _two(json.loads(metadata), uuid, is_second=bool(place))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error) as error:
        raise DiskError(f"the header of an encrypted volume makes no sense: {error!r}") from None


def _text(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode("ascii", "backslashreplace")


def _one(head: bytes) -> Header:
    (_, _, cipher, mode, hash, payload, key_bytes, digest, salt, iterations, uuid) = _ONE.unpack_from(head)
    encryption, name = f"{_text(cipher)}-{_text(mode)}", _text(hash)
    if name not in HASHES:
        raise UnsupportedError(f"the hash {name} of an encrypted volume is not known")
    if not 0 < key_bytes <= _LARGEST_KEY:
        raise DiskError("the header of an encrypted volume makes no sense")
    slots = []
    for index in range(_ONE_SLOTS):
        active, count, slot_salt, offset, stripes = _SLOT.unpack_from(head, _ONE.size + index * _SLOT.size)
        if active == _ENABLED and 0 < stripes <= _MOST_STRIPES:
            derivation = Derivation("pbkdf2", slot_salt, count, name)
            slots.append(Slot(derivation, encryption, key_bytes, offset * _SECTOR, key_bytes, stripes, name))
    check = Digest(Derivation("pbkdf2", salt, iterations, name), digest)
    return Header(_text(uuid), tuple(slots), check, encryption, payload * _SECTOR, None, _SECTOR, 0)


def _copy(disk: Disk, volume: Volume, place: int) -> tuple[int, bytes, str] | None:
    """Sequence number, JSON and UUID of the header of LUKS2 at ``place``, if its checksum is right."""
    if place + _BINARY > volume.size:
        return None
    head = disk.pread(_BINARY, volume.start + place)
    magic, version, size, sequence, _, algorithm, _, uuid, _, own = _TWO.unpack_from(head)
    if magic != (_SECOND if place else _FIRST) or (version, own) != (2, place) or size not in _SIZES:
        return None
    whole = head + disk.pread(size - _BINARY, volume.start + place + _BINARY)
    name = _text(algorithm)
    if name not in HASHES or len(whole) != size:
        return None
    blank = whole[:_CHECKSUM] + bytes(_CHECKSUM_BYTES) + whole[_CHECKSUM + _CHECKSUM_BYTES :]
    checksum = hashlib.new(name, blank).digest()
    if whole[_CHECKSUM : _CHECKSUM + len(checksum)] != checksum:
        return None
    return sequence, whole[_BINARY:].partition(b"\0")[0], _text(uuid)


def _two(metadata: Mapping[str, Any], uuid: str, *, is_second: bool) -> Header:
    wanted = metadata["config"].get("requirements", {})
    if wanted and wanted.get("mandatory"):
        needs = ", ".join(map(str, wanted["mandatory"]))
        raise UnsupportedError(f"an encrypted volume asks for {needs}, which is not read")
    (name, segment), *others = metadata["segments"].items()
    if others or segment["type"] != "crypt" or "integrity" in segment:
        raise UnsupportedError("an encrypted volume with integrity, or in the middle of an encryption")
    digest = next(value for value in metadata["digests"].values() if name in value["segments"])
    slots = [
        _slot(slot)
        for key, slot in sorted(metadata["keyslots"].items())
        if key in digest["keyslots"] and slot["type"] == "luks2" and slot.get("priority", 1)
    ]
    size = None if segment["size"] == "dynamic" else _number(segment["size"])
    sector = _number(segment["sector_size"])
    if sector not in (512, 1024, 2048, 4096):
        raise DiskError("the header of an encrypted volume makes no sense")
    check = Digest(_derivation(digest), base64.b64decode(digest["digest"], validate=True))
    return Header(
        uuid,
        tuple(slots),
        check,
        str(segment["encryption"]),
        _number(segment["offset"]),
        size,
        sector,
        _number(segment["iv_tweak"]),
        is_second,
    )


def _slot(slot: Mapping[str, Any]) -> Slot:
    area, splitter = slot["area"], slot["af"]
    stripes, key_bytes = _number(splitter["stripes"]), _number(slot["key_size"])
    if (
        not 0 < stripes <= _MOST_STRIPES
        or not 0 < key_bytes <= _LARGEST_KEY
        or splitter["hash"] not in HASHES
    ):
        raise UnsupportedError("a key slot of an encrypted volume is not understood")
    return Slot(
        _derivation(slot["kdf"]),
        str(area["encryption"]),
        _number(area["key_size"]),
        _number(area["offset"]),
        key_bytes,
        stripes,
        splitter["hash"],
    )


def _derivation(value: Mapping[str, Any]) -> Derivation:
    salt, kind = base64.b64decode(value["salt"], validate=True), str(value["type"])
    match kind:
        case "pbkdf2" if value["hash"] in HASHES:
            return Derivation(kind, salt, _number(value["iterations"]), value["hash"])
        case "argon2i" | "argon2id":
            numbers = (_number(value[name]) for name in ("time", "memory", "cpus"))
            time, memory, lanes = numbers
            return Derivation(kind, salt, time, memory_kib=memory, lanes=lanes)
        case _:
            raise UnsupportedError(f"the key derivation {kind} of an encrypted volume is not known")


def _number(value: object) -> int:
    number = int(value) if isinstance(value, (int, str)) else -1
    if not 0 <= number < 1 << 63:
        raise ValueError(f"{value!r} is no number")
    return number
