"""A physical volume's label, and the newest metadata it holds (``lib/format_text/layout.h`` of LVM2)."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from converters.disks.base import Disk
from converters.errors import DiskError
from converters.volumes.base import Volume

_SECTOR = 512
_LABEL = struct.Struct("<8sQII8s")
"""Identifier, number of its sector, checksum, offset of what follows, type."""
_SECTORS = 4
"""The label is in one of the first four sectors."""
_HEADER = struct.Struct("<32sQ")
"""UUID, size of the device."""
_AREA = struct.Struct("<QQ")
_METADATA = struct.Struct("<I16sIQQ")
"""Checksum, magic, version, where this header is, bytes of the area."""
_LOCATION = struct.Struct("<QQII")
"""Offset in the area, bytes, checksum, flags."""
_MAGIC = b" LVM2 x[5A%r0N*>"
_IGNORED = 1
_LARGEST_TEXT = 64 << 20
_MOST_AREAS = 16
_CHECKSUM_SEED = 0xF597A6CF


@dataclass(frozen=True, slots=True)
class PhysicalVolume:
    """A volume that belongs to a group."""

    uuid: str
    """Without dashes."""
    volume: Volume
    metadata: tuple[str, ...]
    """Texts on the whole group, one for each area that holds one: none, one or two."""
    damages: tuple[str, ...] = ()
    """What is wrong with areas beside those."""


def read(disk: Disk, volume: Volume) -> PhysicalVolume:
    """The physical volume on ``volume`` of ``disk``.

    Raises:
        DiskError: no label, or damaged; or the disk cannot be read.
    """
    head = disk.pread(_SECTORS * _SECTOR, volume.start)
    for start in range(0, len(head) - _SECTOR + 1, _SECTOR):
        sector = head[start : start + _SECTOR]
        identifier, number, checksum, offset, kind = _LABEL.unpack_from(sector)
        if (identifier, kind) == (b"LABELONE", b"LVM2 001") and number * _SECTOR == start:
            if _checksum(sector[20:]) != checksum or offset > _SECTOR - _HEADER.size:
                raise DiskError("the label of a physical volume of LVM is damaged")
            return _parse(disk, volume, sector[offset:])
    raise DiskError("a physical volume of LVM without its label")


def _parse(disk: Disk, volume: Volume, header: bytes) -> PhysicalVolume:
    uuid, _ = _HEADER.unpack_from(header)
    place, lists = _HEADER.size, [[], []]  # type: tuple[int, list[list[tuple[int, int]]]]
    for areas in lists:
        while True:
            if place + _AREA.size > len(header) or len(areas) > _MOST_AREAS:
                raise DiskError("the label of a physical volume of LVM is damaged")
            offset, size = _AREA.unpack_from(header, place)
            place += _AREA.size
            if not offset:
                break
            areas.append((offset, size))
    texts, damages = [], []
    for offset, size in lists[1]:
        try:
            texts.append(_text(disk, volume, offset, size))
        except DiskError as error:
            damages.append(error.message)
    found = tuple(text for text in texts if text)
    return PhysicalVolume(uuid.decode("ascii", "replace"), volume, found, tuple(damages))


def _text(disk: Disk, volume: Volume, offset: int, size: int) -> str:
    """The metadata in the area at ``offset`` of the volume; empty when it holds none."""
    if offset + size > volume.size or size < _SECTOR:
        raise DiskError("metadata of LVM outside their volume")
    header = disk.pread(_SECTOR, volume.start + offset)
    checksum, magic, _, own, _ = _METADATA.unpack_from(header)
    if magic != _MAGIC or own != offset or _checksum(header[4:]) != checksum:
        raise DiskError("the header of LVM's metadata is damaged")
    start, length, checksum, flags = _LOCATION.unpack_from(header, _METADATA.size)
    if not start or not length or flags & _IGNORED:
        return ""
    if not _SECTOR <= start < size or length > min(size - _SECTOR, _LARGEST_TEXT):
        raise DiskError("metadata of LVM outside their area")
    first = min(length, size - start)
    # The area is written round and round, behind its header.
    text = disk.pread(first, volume.start + offset + start)
    text += disk.pread(length - first, volume.start + offset + _SECTOR) if first < length else b""
    if _checksum(text) != checksum:
        raise DiskError("wrong checksum of LVM's metadata")
    return text.rstrip(b"\0").decode("utf-8", "surrogateescape")


def _checksum(data: bytes) -> int:
    """CRC-32 from LVM's own seed, and without the inversions."""
    return zlib.crc32(data, _CHECKSUM_SEED ^ 0xFFFFFFFF) ^ 0xFFFFFFFF
