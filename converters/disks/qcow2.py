"""What a qcow2 image names, read before QEMU opens it (QEMU's ``docs/interop/qcow2.txt``)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from converters.disks.references import Image
from converters.errors import DiskError, UnsupportedError

_HEADER = struct.Struct(">4sIQIIQI")
"""Magic, version, offset and length of the backing file's name, bits of a cluster, size, encryption."""
_FEATURES = struct.Struct(">72xQQQII")
_VERSION_2_HEADER = 72
_EXTERNAL_DATA = 1 << 2
_END, _BACKING_FORMAT, _DATA_FILE = 0, 0xE2792ACA, 0x44415441
_BACKING_FORMATS = ("raw", "qcow2", "vmdk", "vdi", "vpc", "vhdx")
_LONGEST_NAME = 1023


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


def check_qcow(image: Image) -> None:
    """Refuse what of the older qcow format is not read.

    Raises:
        DiskError: it has a backing file.
    """
    if any(image.file.pread(16, 0)[8:]):
        raise DiskError(
            f"{image.path}: a qcow image with a backing file", "convert it with `qemu-img convert -O qcow2`"
        )
