"""What a VHDX says of itself: headers, regions and metadata ([MS-VHDX], version 8.0, section 2)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from converters.disks.references import Image
from converters.errors import DiskError, UnsupportedError

_HEADER_BYTES, _REGIONS_BYTES = 4 << 10, 64 << 10
_HEADERS = (64 << 10, 128 << 10)
_HEADER = struct.Struct("<4sIQ16s16s16s")
_REGIONS = (192 << 10, 256 << 10)
_REGION = struct.Struct("<16sQII")
_METADATA = struct.Struct("<16sIII4x")
_MOST_ENTRIES = 2047
_LARGEST_METADATA = 1 << 20
_BAT = UUID("2dc27766-f623-4200-9d64-115e9bfd4a08")
_METADATA_REGION = UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e")
_FILE_PARAMETERS = UUID("caa16737-fa36-4d43-b3b6-33f0aa44e76b")
_DISK_SIZE = UUID("2fa54224-cd1b-4876-b211-5dbed83bf4b8")
_SECTOR_SIZE = UUID("8141bf1d-a96f-4709-ba47-f233a8faab5f")
_PARENT_LOCATOR = UUID("a8d35f2d-b30b-454d-abf7-d3d84834ab0c")
_LOCATOR_TYPE = UUID("b04aefb7-d19e-4a81-b789-25b8e9445913")
_DISK_ID = UUID("beca12ab-b2e6-4523-93ef-c309e000c746")
_PHYSICAL_SECTOR = UUID("cda348c7-445d-4471-9cc9-e9885251c556")
_KNOWN = frozenset({_FILE_PARAMETERS, _DISK_SIZE, _SECTOR_SIZE, _PARENT_LOCATOR, _DISK_ID, _PHYSICAL_SECTOR})
_REQUIRED = 1 << 2
_HAS_PARENT = 1 << 1


@dataclass(frozen=True, slots=True)
class VhdxHeader:
    """What an image says of itself; sizes in bytes."""

    data_write: UUID
    """Changes whenever what the guest sees does: a differencing image knows its parent by it."""
    dirty: bool
    """Whether its log holds what is not yet in its place."""
    size: int
    sector: int
    block_size: int
    differencing: bool
    bat_offset: int
    locator: tuple[tuple[str, str], ...]
    """What it says of its parent."""


def read_header(image: Image) -> VhdxHeader:
    """Headers, regions and metadata of a VHDX.

    Raises:
        DiskError: damaged.
        UnsupportedError: it has metadata that a reader must know and this one does not.
    """
    data_write, dirty = _current_header(image)
    regions = _regions(image)
    if _METADATA_REGION not in regions or _BAT not in regions:
        raise _damaged(image, "a region is missing")
    items = _metadata(image, *regions[_METADATA_REGION])
    try:
        block_size, flags = struct.unpack_from("<II", items[_FILE_PARAMETERS])
        (size,) = struct.unpack_from("<Q", items[_DISK_SIZE])
        (sector,) = struct.unpack_from("<I", items[_SECTOR_SIZE])
    except (KeyError, struct.error):
        raise _damaged(image, "metadata are missing") from None
    power = block_size and not block_size & (block_size - 1)
    if not power or not 1 << 20 <= block_size <= 256 << 20 or sector not in (512, 4096) or not size:
        raise _damaged(image, f"{size} bytes in blocks of {block_size} and sectors of {sector}")
    differencing = bool(flags & _HAS_PARENT)
    locator = _locator(image, items.get(_PARENT_LOCATOR, b"")) if differencing else ()
    bat_offset, _ = regions[_BAT]
    return VhdxHeader(data_write, dirty, size, sector, block_size, differencing, bat_offset, locator)


def _current_header(image: Image) -> tuple[UUID, bool]:
    """Of the two headers the later intact one: the content's id, and whether a log waits."""
    found = []
    for place in _HEADERS:
        data = image.file.pread(_HEADER_BYTES, place)
        if len(data) == _HEADER_BYTES and data.startswith(b"head") and is_intact(data):
            _, _, sequence, _, data_write, log = _HEADER.unpack_from(data)
            found.append((sequence, data_write, log))
    if not found:
        raise _damaged(image, "both headers")
    _, data_write, log = max(found)
    return UUID(bytes_le=data_write), any(log)


def _regions(image: Image) -> dict[UUID, tuple[int, int]]:
    """Offset and length of each region."""
    for place in _REGIONS:
        data = image.file.pread(_REGIONS_BYTES, place)
        if len(data) == _REGIONS_BYTES and data.startswith(b"regi") and is_intact(data):
            count = min(int.from_bytes(data[8:12], "little"), _MOST_ENTRIES)
            entries = [_REGION.unpack_from(data, 16 + number * _REGION.size) for number in range(count)]
            return {UUID(bytes_le=guid): (offset, length) for guid, offset, length, _ in entries}
    raise _damaged(image, "both region tables")


def _metadata(image: Image, offset: int, length: int) -> dict[UUID, bytes]:
    data = image.file.pread(min(length, _LARGEST_METADATA), offset)
    if len(data) < 32 or not data.startswith(b"metadata"):
        raise _damaged(image, "the metadata")
    count = min(int.from_bytes(data[10:12], "little"), _MOST_ENTRIES, len(data) // _METADATA.size - 1)
    items = {}
    for number in range(count):
        guid, place, size, flags = _METADATA.unpack_from(data, 32 + number * _METADATA.size)
        item = UUID(bytes_le=guid)
        if flags & _REQUIRED and item not in _KNOWN:
            raise UnsupportedError(f"{image.path}: a VHDX with metadata {item}, which are not known")
        items[item] = data[place : place + size]
    return items


def _locator(image: Image, data: bytes) -> tuple[tuple[str, str], ...]:
    """Keys and values of a parent locator ([MS-VHDX] 2.6.2.6)."""
    if len(data) < 20 or UUID(bytes_le=data[:16]) != _LOCATOR_TYPE:
        raise _damaged(image, "the parent locator")
    found = []
    for number in range(min(int.from_bytes(data[18:20], "little"), (len(data) - 20) // 12)):
        key, value, key_size, value_size = struct.unpack_from("<IIHH", data, 20 + number * 12)
        texts = (data[key : key + key_size], data[value : value + value_size])
        name, content = (text.decode("utf-16-le", "replace") for text in texts)
        found.append((name, content))
    return tuple(found)


def is_intact(data: bytes) -> bool:
    """Whether the CRC-32C at byte 4, which counts as zeros, is that of ``data``."""
    crc = 0xFFFFFFFF
    for byte in data[:4] + bytes(4) + data[8:]:
        crc = _CRC[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF == int.from_bytes(data[4:8], "little")


def _crc_table() -> Iterator[int]:
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        yield value


_CRC = tuple(_crc_table())


def _damaged(image: Image, what: str) -> DiskError:
    return DiskError(f"{image.path}: the VHDX is damaged: {what}", "copy or export the disk again")
