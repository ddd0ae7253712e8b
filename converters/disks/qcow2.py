"""What a qcow2 image names, read before QEMU opens it (QEMU's ``docs/interop/qcow2.txt``)."""

from __future__ import annotations

import struct
from array import array
from dataclasses import dataclass

from converters.disks.blocks import incomplete
from converters.disks.references import Image
from converters.disks.tables import numbers
from converters.disks.unpack import LARGEST_IMAGE
from converters.errors import DiskError, UnsupportedError

_HEADER = struct.Struct(">4sIQIIQI")
"""Magic, version, offset and length of the backing file's name, bits of a cluster, size, encryption."""
_FEATURES = struct.Struct(">72xQQQII")
_VERSION_2_HEADER = 72
_CORRUPT, _EXTERNAL_DATA = 1 << 1, 1 << 2
_END, _BACKING_FORMAT, _DATA_FILE = 0, 0xE2792ACA, 0x44415441
_BACKING_FORMATS = ("raw", "qcow2", "vmdk", "vdi", "vpc", "vhdx")
_LONGEST_NAME = 1023
_SUBCLUSTERS = 1 << 4
_SMALLEST_CLUSTER, _LARGEST_CLUSTER = 9, 21
"""Bits."""
_MOST_TABLES = 1 << 22
"""Entries of the first table: 32 MiB, as QEMU has it."""
_PLACE = 0x00FFFFFFFFFFFE00
_COMPRESSED = 1 << 62
_READS_AS_ZEROS = 1
_SECTOR = 512


@dataclass(frozen=True, slots=True)
class Qcow2Header:
    """The files that a qcow2 image names."""

    backing_name: bytes
    """Empty where the image stands alone."""
    backing_format: str
    """QEMU's name of a format that is known here, or empty."""
    data_name: bytes
    """File that holds the data; empty where the image does."""


def read_header(image: Image) -> Qcow2Header:
    """What the image says.

    Raises:
        DiskError: damaged.
        UnsupportedError: encrypted.
    """
    head = image.file.pread(1 << 16, 0)
    if len(head) < _FEATURES.size:
        raise DiskError(f"{image.path}: too short for a qcow2 image", "copy or export the disk again")
    _, version, offset, length, _, _, encryption = _HEADER.unpack_from(head)
    if encryption:
        raise UnsupportedError(
            f"{image.path} is encrypted by QEMU",
            "decrypt it where its key is: `qemu-img convert --object secret,… -O qcow2`",
        )
    incompatible, extensions = 0, _VERSION_2_HEADER
    if version >= 3:
        incompatible, *_, extensions = _FEATURES.unpack_from(head)
    if incompatible & _CORRUPT:
        raise DiskError(
            f"{image.path}: QEMU found this image damaged and marked it",
            "`qemu-img check -r all` repairs a copy",
        )
    fields = _extensions(head, extensions)
    data = fields.get(_DATA_FILE, b"") if incompatible & _EXTERNAL_DATA else b""
    if incompatible & _EXTERNAL_DATA and not data:
        raise DiskError(f"{image.path} keeps its data in another file and does not say in which")
    name = fields.get(_BACKING_FORMAT, b"").decode("ascii", "replace")
    return Qcow2Header(
        image.file.pread(min(length, _LONGEST_NAME), offset) if offset else b"",
        name if name in _BACKING_FORMATS else "",
        data,
    )


def _extensions(head: bytes, offset: int) -> dict[int, bytes]:
    """The header extensions; of a kind that comes twice the last one, as QEMU has it."""
    fields: dict[int, bytes] = {}
    while offset + 8 <= len(head):
        kind, length = struct.unpack_from(">II", head, offset)
        if kind == _END:
            break
        fields[kind] = head[offset + 8 : offset + 8 + length]
        offset += 8 + (length + 7) // 8 * 8
    return fields


def check_whole(image: Image) -> None:
    """Refuse an image of which a part is missing: QEMU reads what is behind the end of a file as zeros.

    Raises:
        DiskError: the file ends before a table or a cluster that it should hold.
    """
    head = image.file.pread(_FEATURES.size, 0)
    *_, bits, size, _ = _HEADER.unpack_from(head)
    entries, directory = struct.unpack_from(">IQ", head, 36)
    incompatible = _FEATURES.unpack_from(head)[0] if int.from_bytes(head[4:8], "big") >= 3 else 0
    if not _SMALLEST_CLUSTER <= bits <= _LARGEST_CLUSTER or entries > _MOST_TABLES or size > LARGEST_IMAGE:
        raise DiskError(
            f"{image.path}: a qcow2 image of {size} bytes, clusters of 2^{bits} and {entries} tables",
            "copy or export the disk again",
        )
    # With subclusters an entry has two numbers, of which the second says which of them count.
    step = 2 if incompatible & _SUBCLUSTERS else 1
    count = (1 << bits) // 8
    final_table, final = divmod(max(size - 1, 0) >> bits, count // step)
    last = directory + entries * 8
    used = min(entries, final_table + 1)
    for number, entry in enumerate(numbers(image.file, directory, used, "Q", ">")):
        if not (place := entry & _PLACE):
            continue
        table = numbers(image.file, place, count, "Q", ">")[::step]
        last = max(last, place + (1 << bits))
        if incompatible & _EXTERNAL_DATA or not any(table):
            continue
        if number == final_table and final < len(table):
            # The last cluster of a disk that is no multiple of one may be cut short.
            last = max(last, _end(table[final : final + 1], bits, size % (1 << bits) or 1 << bits))
            table[final] = 0
        last = max(last, _end(table, bits, 1 << bits))
    if last > -(-image.file.size // _SECTOR) * _SECTOR:
        raise incomplete(image.path, image.file, last)


def _end(table: array[int], bits: int, size: int) -> int:
    """Byte of the file up to which the clusters of a table reach; ``size`` is that of the plain ones."""
    plain = (entry & _PLACE for entry in table if not entry & (_COMPRESSED | _READS_AS_ZEROS))
    last = highest + size if (highest := max(plain, default=0)) else 0
    shift = 62 - (bits - 8)
    for entry in table:
        if entry & _COMPRESSED:
            place, sectors = entry & ((1 << shift) - 1), entry >> shift & ((1 << (bits - 8)) - 1)
            # The file may end anywhere in the last of these sectors.
            last = max(last, (place // _SECTOR + sectors) * _SECTOR + 1)
    return last


def check_qcow(image: Image) -> None:
    """Refuse what of the older qcow format is not read.

    Raises:
        DiskError: it has a backing file.
    """
    if any(image.file.pread(16, 0)[8:]):
        raise DiskError(
            f"{image.path}: a qcow image with a backing file", "convert it with `qemu-img convert -O qcow2`"
        )
