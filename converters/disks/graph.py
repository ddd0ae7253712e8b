"""A disk image as a block graph in which QEMU opens what it is given and nothing else.

A disk image can name other files: backing files, parents, extents. Left to itself QEMU opens what the image
says, ``/etc/shadow`` and ``nbd://…`` too. So the image is read here first, and QEMU gets open descriptors and
an explicit graph (``BlockdevOptions`` of its QAPI reference) that holds no path of the image's choice.
"""

from __future__ import annotations

import os
import struct
from typing import Any

from converters.disks.detect import image_format
from converters.disks.raw import open_file, read_fully
from converters.disks.references import OpenFiles, open_reference
from converters.disks.vmdk import (
    DESCRIPTOR_LIMIT,
    DESCRIPTOR_MAGIC,
    FLAT_TYPES,
    SECTOR,
    Descriptor,
    SparseHeader,
    parse_descriptor,
    parse_header,
)
from converters.errors import DiskError

Node = dict[str, Any]

_LONGEST_CHAIN = 64
"""Images; VMware allows 32 snapshots in a chain."""
_MOST_EXTENTS = 4096
_COWD_MAGIC = b"COWD"

_QCOW2_HEADER = struct.Struct(">4sIQI")
_QCOW2_FEATURES = struct.Struct(">72xQQQII")
_QCOW2_EXTERNAL_DATA = 1 << 2
_QCOW2_BACKING_FORMAT = 0xE2792ACA

_VHD_DYNAMIC_HEADER = struct.Struct(">8x8xQ")
_VHD_DIFFERENCING = 4


def image_node(path: str, driver: str, files: OpenFiles) -> Node:
    """The graph of the image at ``path``; what it needs is opened into ``files``.

    Raises:
        DiskError: absent, damaged, or naming a file outside the image's folder.
    """
    try:
        return _node(open_file(path), path, driver, files, 0)
    except OSError as error:
        raise DiskError(f"cannot read {path}: {error.strerror}") from error


def _node(descriptor: int, path: str, driver: str, files: OpenFiles, depth: int) -> Node:
    name = files.add(descriptor, path)
    if depth > _LONGEST_CHAIN:
        raise DiskError(f"{path}: a chain of more than {_LONGEST_CHAIN} disk images", "consolidate the disk")
    node: Node = {
        "driver": driver,
        "read-only": True,
        "file": {"driver": "file", "filename": name, "read-only": True},
        "backing": None,  # whatever the image says, QEMU opens no backing file of its own accord
    }
    match driver:
        case "vmdk":
            _complete_vmdk(node, descriptor, path, files, depth)
        case "qcow2":
            _complete_qcow2(node, descriptor, path, files, depth)
        case "qcow":
            _check_qcow(descriptor, path)
        case "vpc":
            _check_vhd(descriptor, path)
        case "raw":
            del node["backing"]
    return node


def _complete_vmdk(node: Node, descriptor: int, path: str, files: OpenFiles, depth: int) -> None:
    head = read_fully(descriptor, SECTOR, 0)
    if head.startswith(_COWD_MAGIC):
        raise DiskError(f"{path} is an extent of a disk", "give the .vmdk descriptor that names it")
    if header := parse_header(head):
        text = _embedded_descriptor(descriptor, path, header)
    else:
        text = parse_descriptor(read_fully(descriptor, DESCRIPTOR_LIMIT, 0))
        node["file"]["filename"] = files.add(_rebuilt(text, path, files), path)
    if text is None or not text.has_parent:
        return
    parent, parent_path = open_reference(path, "parent", text.file_names(text.parent_name))
    driver = image_format(parent)
    if driver != "vmdk":
        os.close(parent)
        raise DiskError(f"{path} names the parent {parent_path}, which is no VMDK")
    node["backing"] = _node(parent, parent_path, driver, files, depth + 1)


def _embedded_descriptor(descriptor: int, path: str, header: SparseHeader) -> Descriptor | None:
    if header.capacity == 0:
        # QEMU then takes the embedded descriptor for the disk's and opens the extents it names.
        raise DiskError(f"{path}: a sparse VMDK of capacity 0", "copy or export the disk again")
    if not header.descriptor_offset:
        return None
    length = min(header.descriptor_size * SECTOR, DESCRIPTOR_LIMIT)
    text = read_fully(descriptor, length, header.descriptor_offset * SECTOR)
    return parse_descriptor(text) if text.startswith(DESCRIPTOR_MAGIC) else None


def _rebuilt(text: Descriptor, path: str, files: OpenFiles) -> int:
    """A descriptor of our own writing, in memory, whose extents are open files.

    QEMU's parser and ours may read a hostile descriptor differently: QEMU reads this one.
    """
    if not 0 < len(text.extents) <= _MOST_EXTENTS:
        raise DiskError(f"{path}: a VMDK descriptor with {len(text.extents)} extents")
    lines = [
        "# Disk DescriptorFile",
        "version=1",
        f"CID={text.content_id:08x}",
        f"parentCID={text.parent_content_id:08x}",
        f'createType="{_create_type(text)}"',
    ]
    for extent in text.extents:
        if extent.type not in ("FLAT", "VMFS", "SPARSE", "VMFSSPARSE", "SESPARSE"):
            raise DiskError(f"{path}: extents of type {extent.type} cannot be read with others")
        opened, extent_path = open_reference(path, "extent", text.file_names(extent.name))
        name = files.add(opened, extent_path)
        header = parse_header(read_fully(opened, SECTOR, 0))
        if extent.type not in FLAT_TYPES and header is not None and header.capacity == 0:
            raise DiskError(
                f"{extent_path}: a sparse VMDK extent of capacity 0", "copy or export the disk again"
            )
        offset = f" {extent.offset}" if extent.type in FLAT_TYPES else ""
        lines.append(f'RW {extent.sectors} {extent.type} "{name}"{offset}')
    rebuilt = os.memfd_create("descriptor.vmdk", os.MFD_CLOEXEC)
    # QEMU reads descriptors in whole sectors.
    content = "\n".join([*lines, ""]).encode()
    os.write(rebuilt, content.ljust(-(-len(content) // SECTOR) * SECTOR, b"\0"))
    return rebuilt


def _create_type(text: Descriptor) -> str:
    kinds = {extent.type for extent in text.extents}
    if "SESPARSE" in kinds:
        return "seSparse"
    if "VMFSSPARSE" in kinds:
        return "vmfsSparse"
    return "twoGbMaxExtentSparse" if "SPARSE" in kinds else "monolithicFlat"


def _complete_qcow2(node: Node, descriptor: int, path: str, files: OpenFiles, depth: int) -> None:
    """Follow the backing file (QEMU docs/interop/qcow2.txt)."""
    head = read_fully(descriptor, 1 << 16, 0)
    if len(head) < _QCOW2_FEATURES.size:
        raise DiskError(f"{path}: too short for a qcow2 image")
    _, version, offset, length = _QCOW2_HEADER.unpack_from(head)
    extensions = 72
    if version >= 3:
        incompatible, *_, extensions = _QCOW2_FEATURES.unpack_from(head)
        if incompatible & _QCOW2_EXTERNAL_DATA:
            raise DiskError(
                f"{path} keeps its data in another file", "convert it with `qemu-img convert -O qcow2`"
            )
    if not offset:
        return
    name = read_fully(descriptor, min(length, 1023), offset)
    backing, backing_path = open_reference(path, "backing file", (name,))
    driver = _qcow2_backing_format(head, extensions)
    if not driver:
        os.close(backing)
        raise DiskError(
            f"{path} does not say the format of its backing file", "set it with `qemu-img rebase -u -F`"
        )
    node["backing"] = _node(backing, backing_path, driver, files, depth + 1)


def _qcow2_backing_format(head: bytes, offset: int) -> str:
    """The backing file's format by the header extension, as a driver's name; empty where there is none."""
    while offset + 8 <= len(head):
        kind, length = struct.unpack_from(">II", head, offset)
        if kind == 0:
            break
        if kind == _QCOW2_BACKING_FORMAT:
            name = head[offset + 8 : offset + 8 + length].decode("ascii", "replace")
            return name if name in ("raw", "qcow2", "vmdk", "vdi", "vpc", "vhdx") else ""
        offset += 8 + (length + 7) // 8 * 8
    return ""


def _check_qcow(descriptor: int, path: str) -> None:
    if any(read_fully(descriptor, 16, 0)[8:]):
        raise DiskError(
            f"{path}: a qcow image with a backing file", "convert it with `qemu-img convert -O qcow2`"
        )


def _check_vhd(descriptor: int, path: str) -> None:
    """Refuse a differencing VHD: QEMU reads one as if what its parent holds were zeros."""
    size = os.lseek(descriptor, 0, os.SEEK_END)
    footer = read_fully(descriptor, SECTOR, max(0, size - SECTOR))
    if not footer.startswith(b"conectix"):
        footer = read_fully(descriptor, SECTOR, 0)
    if len(footer) < 64 or int.from_bytes(footer[60:64], "big") != _VHD_DIFFERENCING:
        return
    header = read_fully(descriptor, 1024, int.from_bytes(footer[16:24], "big"))
    parent = header[64:576].decode("utf-16-be", "replace").rstrip("\0")
    raise DiskError(
        f"{path} holds only the differences to its parent {parent!r}", "merge it into its parent first"
    )
