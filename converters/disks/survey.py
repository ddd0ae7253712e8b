"""What a disk image consists of, and how large it is, without reading what the guest wrote into it."""

from __future__ import annotations

from dataclasses import dataclass

from converters.disks import qcow2, vdi, vhd, vhdx
from converters.disks.base import AbsentDisk, DiskSource, ImageFile, NbdSource, PackedDisk, RawFile
from converters.disks.detect import image_format
from converters.disks.parts import numbered_files
from converters.disks.raw import RawDisk
from converters.disks.references import Image, OpenFiles, image_at, open_reference
from converters.disks.vmdk import SECTOR
from converters.disks.vmdk_extents import parent_of, read_descriptor
from converters.errors import DiskError

_LONGEST_CHAIN = 64
_NO_FILE = ("ZERO",)
_QCOW2_SIZE = 24
"""Where its header has the size of the disk."""


@dataclass(frozen=True, slots=True)
class Surveyed:
    """A disk image as its headers tell it."""

    files: tuple[str, ...]
    """Every file that it is read from: itself, its extents, its parents and theirs."""
    capacity: int
    """Bytes as the guest sees them; 0 when no header was read that says so."""


def survey_disk(source: DiskSource) -> Surveyed:
    """The files and the size of a disk.

    Raises:
        DiskError: a file is absent, or lies outside the folder whose files the image may name.
    """
    match source:
        case ImageFile(path, driver, within) if driver != "raw":
            with OpenFiles() as files:
                return _survey_image(image_at(path, within, files), driver)
        case RawFile(path) | ImageFile(path) | AbsentDisk(path):
            pieces = tuple(numbered_files(path))
            return Surveyed(pieces, sum(map(_length, pieces)))
        case PackedDisk(parts, capacity):
            return Surveyed(tuple(dict.fromkeys(part.path for part in parts)), capacity or 0)
        case NbdSource():
            return Surveyed((), 0)


def _length(path: str) -> int:
    with RawDisk(path) as file:
        return file.size


def _survey_image(image: Image, driver: str) -> Surveyed:
    found: dict[str, None] = {}
    capacity = 0
    for depth in range(_LONGEST_CHAIN):
        if image.path in found:
            raise DiskError(f"{image.path} is, by way of others, its own parent", "copy the disk again")
        found[image.path] = None
        match driver:
            case "vmdk":
                size, parent = _survey_vmdk(image, found)
            case "qcow2":
                size, parent = _survey_qcow2(image, found)
            case "vdi":
                size, parent = vdi.size_and_parent(image)
            case "vpc":
                size, parent = vhd.size_and_parent(image)
            case "vhdx":
                size, parent = vhdx.size_and_parent(image)
            case _:
                size, parent = 0, None
        if depth == 0:
            capacity = size
        if parent is None:
            return Surveyed(tuple(found), capacity)
        image, driver = parent, image_format(parent.file)
    raise DiskError(f"{image.path}: a chain of more than {_LONGEST_CHAIN} images", "consolidate the disk")


def _survey_vmdk(image: Image, found: dict[str, None]) -> tuple[int, Image | None]:
    text, header = read_descriptor(image)
    if text is not None and header is None:
        for line in text.extents:
            if line.type not in _NO_FILE:
                found[open_reference(image, "extent", text.file_names(line.name)).path] = None
    size = header.capacity * SECTOR if header is not None else text.capacity if text is not None else 0
    return size, parent_of(image, text)


def _survey_qcow2(image: Image, found: dict[str, None]) -> tuple[int, Image | None]:
    header = qcow2.read_header(image)
    if header.data_name:
        found[open_reference(image, "data file", (header.data_name,)).path] = None
    size = int.from_bytes(image.file.pread(8, _QCOW2_SIZE), "big")
    if not header.backing_name:
        return size, None
    return size, image.named(open_reference(image, "backing file", (header.backing_name,)))
