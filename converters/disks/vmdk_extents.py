"""What a VMDK consists of: its descriptor, its extents and its parent."""

from __future__ import annotations

from dataclasses import replace

from converters.disks.raw import RawDisk, allow_files
from converters.disks.references import Image, open_reference
from converters.disks.vmdk import (
    COWD_MAGIC,
    DESCRIPTOR_LIMIT,
    FLAT_TYPES,
    NO_PARENT,
    SECTOR,
    SPARSE_TYPES,
    Descriptor,
    ExtentLine,
    SparseHeader,
    is_descriptor,
    parse_descriptor,
    parse_header,
)
from converters.errors import DiskError

_MOST_EXTENTS = 4096
_LATEST_VERSION = 3
"""Of sparse extents (Virtual Disk Format 5.0; 2 and 3 of later products)."""


def read_descriptor(image: Image) -> tuple[Descriptor | None, SparseHeader | None]:
    """The text of a VMDK, where it has one, and the header of one that is its own extent.

    Raises:
        DiskError: damaged, or an extent that cannot stand alone.
    """
    head = image.file.pread(SECTOR, 0)
    if head.startswith(COWD_MAGIC):
        raise DiskError(f"{image.path} is an extent of a disk", "give the .vmdk descriptor that names it")
    header = parse_header(head)
    if header is None:
        return parse_descriptor(image.file.pread(DESCRIPTOR_LIMIT, 0)), None
    if not 1 <= header.version <= _LATEST_VERSION:
        raise DiskError(
            f"{image.path} begins like a VMDK, and its header is damaged: version {header.version}",
            "copy or export the disk again",
        )
    if header.capacity == 0:
        raise DiskError(f"{image.path}: a VMDK of capacity 0", "copy or export the disk again")
    if header.compressed != (header.algorithm == 1):
        raise DiskError(f"{image.path}: a VMDK that contradicts itself about compression")
    if not header.newlines_intact:
        raise DiskError(
            f"{image.path} was altered on the way: its line ends were converted as if it were text",
            "copy it again in binary mode",
        )
    length = min(header.descriptor_size * SECTOR, DESCRIPTOR_LIMIT)
    text = image.file.pread(length, header.descriptor_offset * SECTOR) if header.descriptor_offset else b""
    return (parse_descriptor(text) if is_descriptor(text) else None), header


def parent_of(image: Image, text: Descriptor | None) -> Image | None:
    """The disk that ``image`` is a delta of, or None.

    Raises:
        DiskError: absent, outside the folder, no VMDK, or changed since the delta was made.
    """
    if text is None or not text.has_parent:
        return None
    names = text.file_names(text.parent_name)
    parent = image.named(open_reference(image, "parent", names, moved=True))
    told, _ = read_descriptor(parent)
    if told is None or told.content_id != text.parent_content_id:
        found = "no content id" if told is None else f"CID {told.content_id:08x}"
        raise DiskError(
            f"{image.path} was made over another state of its parent {parent.path}: it says parentCID "
            f"{text.parent_content_id:08x}, and the parent has {found}",
            "copy the whole chain of disks at one time",
        )
    return parent


def own_extent(image: Image, text: Descriptor | None, header: SparseHeader | None) -> Descriptor:
    """The descriptor of a disk whose one extent, if it has a ``header``, is its own file, whatever its name.

    Raises:
        DiskError: the file is one of several extents.
    """
    if text is None:
        text = Descriptor("", NO_PARENT - 1, NO_PARENT, b"", "utf-8", ())
    if header is None:
        return text
    if len(text.extents) > 1:
        raise DiskError(f"{image.path} is one of the {len(text.extents)} extents of a disk")
    sectors = text.extents[0].sectors if text.extents else header.capacity
    return replace(text, extents=(ExtentLine("RW", sectors, "SPARSE", b"", 0),))


def check_extents(image: Image, text: Descriptor) -> None:
    """Refuse extents that no reader takes.

    Raises:
        DiskError: too many or none, of an unknown type, or not to be read.
    """
    if not 0 < len(text.extents) <= _MOST_EXTENTS or not text.capacity:
        raise DiskError(
            f"{image.path}: a VMDK descriptor with {len(text.extents)} extents of {text.capacity} bytes",
            "copy or export the disk again",
        )
    allow_files(len(text.extents))
    for line in text.extents:
        if line.type not in FLAT_TYPES | SPARSE_TYPES or not line.sectors:
            raise DiskError(f"{image.path}: an extent of {line.sectors} sectors of type {line.type}")
        if line.access == "NOACCESS" and line.type != "ZERO":
            raise DiskError(f"{image.path} says that its extent {line.name!r} must not be accessed")


def check_size(extent: str, image: Image, told: int, held: int, grain: int) -> None:
    """Refuse an extent of other sectors than ``told``; it may go on to the end of its last grain.

    Raises:
        DiskError: of another size.
    """
    if not 0 <= held - told < grain:
        raise DiskError(
            f"the extent {extent} holds {held} sectors, where the descriptor of {image.path} says {told}",
            "copy or export the disk again",
        )


def open_extent(image: Image, text: Descriptor, line: ExtentLine) -> RawDisk:
    """The file of an extent.

    Raises:
        DiskError: absent, outside the folder, or too short for a flat one.
    """
    file = open_reference(image, "extent", text.file_names(line.name))
    if line.type in FLAT_TYPES and file.size < (line.offset + line.sectors) * SECTOR:
        raise DiskError(
            f"the extent {line.name!r} of {image.path} is shorter than its {line.sectors} sectors",
            "copy or export the disk again",
        )
    return file
