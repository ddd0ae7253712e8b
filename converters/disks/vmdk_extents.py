"""What a VMDK consists of, with every file it names opened: extents and parent."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from converters.disks.raw import Extent, ExtentDisk, FileDisk, RawDisk, allow_files
from converters.disks.references import Image, child_path, open_reference
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
from converters.disks.vmdk_tables import check_whole, sparse_extent
from converters.errors import DiskError

_MOST_EXTENTS = 4096


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
    if header.capacity == 0:
        raise DiskError(f"{image.path}: a sparse VMDK of capacity 0", "copy or export the disk again")
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


def flat_disk(image: Image, text: Descriptor) -> ExtentDisk | None:
    """The disk a descriptor describes if all its extents are flat and need no format; else None.

    Raises:
        DiskError: an extent is absent, outside the folder, or too short.
    """
    _check_extents(image, text)
    if text.has_parent or any(line.type not in FLAT_TYPES for line in text.extents):
        return None
    return ExtentDisk(
        [
            Extent(
                None if line.type == "ZERO" else _open_extent(image, text, line),
                line.offset * SECTOR,
                line.sectors * SECTOR,
            )
            for line in text.extents
        ]
    )


def _check_extents(image: Image, text: Descriptor) -> None:
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


@dataclass(frozen=True, slots=True)
class Described:
    """A descriptor of our own writing whose extents are open files.

    QEMU's parser and ours may read a hostile descriptor differently, and QEMU's knows neither extents of
    zeros nor a disk without a descriptor: QEMU reads this one.
    """

    descriptor: RawDisk | None
    """In memory; None where QEMU reads the image itself, because it is no whole file."""
    size: int
    """Bytes of the disk."""
    held: int
    """Bytes of its extents, which may go on to the end of the last grain."""


def describe(image: Image, text: Descriptor | None, header: SparseHeader | None) -> Described:
    """Open and check the extents of a VMDK, and describe them to QEMU.

    Raises:
        DiskError: absent, outside the folder, incomplete, or of another size than the descriptor says.
    """
    text = own_extent(image, text, header)
    _check_extents(image, text)
    if header is not None and not isinstance(image.file, RawDisk):
        held = checked_sectors(image.file, image, text.extents[0], last=True)
        return Described(None, text.capacity, held * SECTOR)
    lines = [
        "# Disk DescriptorFile",
        "version=1",
        f"CID={text.content_id:08x}",
        f"parentCID={text.parent_content_id:08x}",
        f'createType="{_create_type(text)}"',
    ]
    held = 0
    for line in text.extents:
        file = image.file if isinstance(image.file, RawDisk) and header else _open_extent(image, text, line)
        sectors, kind, place = line.sectors, line.type, ""
        if kind in SPARSE_TYPES:
            sectors = checked_sectors(file, image, line, last=line is text.extents[-1])
        else:
            kind, place = "FLAT", f" {line.offset}"
        lines.append(f'RW {line.sectors} {kind} "{child_path(file.fileno())}"{place}')
        held += sectors
    return Described(in_memory(image, descriptor_text(lines)), text.capacity, held * SECTOR)


def descriptor_text(lines: Sequence[str]) -> bytes:
    """A descriptor in whole sectors, as QEMU reads them."""
    content = "\n".join([*lines, ""]).encode()
    return content.ljust(-(-len(content) // SECTOR) * SECTOR, b"\0")


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


def compressed_size(image: Image, text: Descriptor | None, header: SparseHeader) -> int:
    """Bytes of the disk in a stream-optimized VMDK.

    Raises:
        DiskError: descriptor and header contradict each other, or it is a delta.
    """
    text = own_extent(image, text, header)
    _check_extents(image, text)
    if text.has_parent:
        raise DiskError(f"{image.path} is a compressed delta of another disk", "consolidate the disk")
    _check_size(image.path, image, text.extents[0].sectors, header.capacity, header.grain)
    return text.capacity


def checked_sectors(file: FileDisk, image: Image, line: ExtentLine, *, last: bool) -> int:
    """The sectors that a sparse extent holds: QEMU goes by them, not by what the descriptor says.

    Raises:
        DiskError: incomplete, or of another size than the descriptor says.
    """
    name = file.path if isinstance(file, RawDisk) else image.path
    extent = sparse_extent(file, name)
    _check_size(name, image, line.sectors, extent.capacity, extent.grain if last else 1)
    check_whole(extent, file, name)
    return extent.capacity


def _check_size(extent: str, image: Image, told: int, held: int, most: int) -> None:
    """An extent may go on to the end of its last grain: by less than ``most`` sectors."""
    if not 0 <= held - told < most:
        raise DiskError(
            f"the extent {extent} holds {held} sectors, where the descriptor of {image.path} says {told}",
            "copy or export the disk again",
        )


def in_memory(image: Image, content: bytes, size: int = 0) -> RawDisk:
    """A file in memory that begins with ``content`` and is at least ``size`` bytes long."""
    descriptor = os.memfd_create("descriptor", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, content)
        os.ftruncate(descriptor, max(len(content), size))
        return image.files.keep(RawDisk(child_path(descriptor), name=image.path))
    finally:
        os.close(descriptor)


def _open_extent(image: Image, text: Descriptor, line: ExtentLine) -> RawDisk:
    size = line.sectors * SECTOR
    if line.type == "ZERO":
        return in_memory(image, b"", size)
    file = open_reference(image, "extent", text.file_names(line.name))
    if line.type in FLAT_TYPES and file.size < line.offset * SECTOR + size:
        raise DiskError(
            f"the extent {line.name!r} of {image.path} is shorter than its {line.sectors} sectors",
            "copy or export the disk again",
        )
    return file


def _create_type(text: Descriptor) -> str:
    kinds = {extent.type for extent in text.extents}
    if "SESPARSE" in kinds:
        return "seSparse"
    if "VMFSSPARSE" in kinds:
        return "vmfsSparse"
    return "twoGbMaxExtentSparse" if "SPARSE" in kinds else "monolithicFlat"
