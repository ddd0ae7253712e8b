"""A disk image as a block graph in which QEMU opens what it is given and nothing else.

A disk image can name other files: backing files, parents, extents. Left to itself QEMU opens what the image
says, ``/etc/shadow`` and ``nbd://…`` too. So the image is read here first, and QEMU gets open descriptors and
an explicit graph (``BlockdevOptions`` of its QAPI reference) that holds no path of the image's choice.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from converters.disks import parallels, qcow2
from converters.disks.chain import check_chain
from converters.disks.detect import image_format
from converters.disks.raw import Extent, RawDisk
from converters.disks.references import Image, child_path, open_reference
from converters.disks.vhdx_header import read_header
from converters.disks.vmdk import SECTOR
from converters.errors import DiskError, UnsupportedError
from converters.process import run

Node = dict[str, Any]

_BELOW_QCOW2 = ("raw", "qcow2", "vhdx")


def image_node(image: Image, driver: str, above: tuple[Image, ...] = ()) -> Node:
    """The graph of ``image``, which QEMU's ``driver`` reads; ``above`` are the images that need it.

    Raises:
        DiskError: damaged, or naming a file that is absent or not its to name.
        UnsupportedError: of a kind that QEMU does not read.
    """
    check_chain(image, above)
    file = file_node(image)
    if driver == "raw":
        return {"driver": "raw", "read-only": True, "file": file}
    # Whatever the image says, QEMU opens no backing file of its own accord.
    node: Node = {"driver": driver, "read-only": True, "file": file, "backing": None}
    match driver:
        case "qcow2":
            header = qcow2.read_header(image)
            if header.data_name:
                data = image.named(open_reference(image, "data file", (header.data_name,)))
                node["data-file"] = file_node(data)
            if header.backing_name:
                node["backing"] = _backing_node(image, header, above)
            qcow2.check_whole(image)
        case "vhdx" if read_header(image).dirty:
            return _replayed(node, image)
        case "parallels":
            parallels.check_whole(image)
        case "qcow":
            qcow2.check_qcow(image)
    return node


def _backing_node(image: Image, header: qcow2.Qcow2Header, above: tuple[Image, ...]) -> Node:
    backing = image.named(open_reference(image, "backing file", (header.backing_name,)))
    if not header.backing_format:
        raise DiskError(
            f"{image.path} does not say the format of its backing file", "set it with `qemu-img rebase -u -F`"
        )
    found = image_format(backing.file)
    if header.backing_format not in ("raw", found):
        raise DiskError(
            f"{image.path} says that its backing file {backing.path} is {header.backing_format}, and it is "
            f"{found}",
            "set its format with `qemu-img rebase -u -F`",
        )
    if header.backing_format not in _BELOW_QCOW2:
        raise UnsupportedError(
            f"{image.path} is over {backing.path}, a {header.backing_format}: QEMU may misread it",
            f"make one image of both: `qemu-img convert -O qcow2 {image.path} NEW`",
        )
    return image_node(backing, header.backing_format, (*above, image))


def file_node(image: Image) -> Node:
    """The bytes of an image's file, or of its parts one after another.

    Raises:
        UnsupportedError: in parts that QEMU cannot join.
    """
    extents = image.file.extents
    if len(extents) == 1:
        return _part(extents[0])
    if any((extent.offset | extent.size) % SECTOR for extent in extents[:-1]) or extents[-1].offset % SECTOR:
        raise UnsupportedError(
            f"{image.path} is in parts that are no multiple of {SECTOR} bytes",
            "join them (`cat NAME.* > NAME`) and convert the whole",
        )
    lines = ["# Disk DescriptorFile", "version=1", "CID=fffffffe", "parentCID=ffffffff"]
    lines.append('createType="monolithicFlat"')
    for extent in extents:
        name = child_path(extent.disk.fileno()) if extent.disk is not None else ""
        lines.append(f'RW {-(-extent.size // SECTOR)} FLAT "{name}" {extent.offset // SECTOR}')
    joined = _in_memory(image, "\n".join([*lines, ""]).encode())
    return {"driver": "vmdk", "read-only": True, "file": _whole_file(joined), "backing": None}


def _in_memory(image: Image, content: bytes) -> RawDisk:
    """A file in memory with ``content``, in whole sectors as QEMU reads it."""
    descriptor = os.memfd_create("descriptor", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, content.ljust(-(-len(content) // SECTOR) * SECTOR, b"\0"))
        return image.files.keep(RawDisk(child_path(descriptor), name=image.path))
    finally:
        os.close(descriptor)


def _whole_file(file: RawDisk) -> Node:
    return {"driver": "file", "filename": child_path(file.fileno()), "read-only": True}


def _replayed(node: Node, image: Image) -> Node:
    """A VHDX that was not closed: QEMU replays its log into a file of scratch that is laid over the image."""
    descriptor, path = tempfile.mkstemp(prefix="log-")
    os.close(descriptor)
    try:
        run(["qemu-img", "create", "-q", "-f", "qcow2", path, str(image.file.size)])
        overlay = image.files.keep(RawDisk(path, name=image.path))
    finally:
        Path(path).unlink()
    written = {**_whole_file(overlay), "read-only": False}
    node["file"] = {"driver": "qcow2", "read-only": False, "file": written, "backing": node["file"]}
    node["read-only"] = False
    return {"driver": "raw", "read-only": True, "file": node}


def _part(extent: Extent) -> Node:
    if extent.disk is None:
        raise DiskError("a disk image of zeros alone")
    file = _whole_file(extent.disk)
    if (extent,) == extent.disk.extents:
        return file
    size = -(-extent.size // SECTOR) * SECTOR  # QEMU takes whole sectors; archives pad their members to them
    return {"driver": "raw", "read-only": True, "offset": extent.offset, "size": size, "file": file}
