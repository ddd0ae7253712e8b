"""What kind of disk image a file is, by its own bytes."""

from __future__ import annotations

import os
import re
from pathlib import Path

from converters.disks.base import DiskSource, ImageFile, NbdSource, RawFile
from converters.disks.raw import open_file, read_fully
from converters.disks.vmdk import DESCRIPTOR_MAGIC, SPARSE_MAGIC

_SECTOR = 512
_URI = re.compile(r"nbds?(\+unix)?://")
_HEAD_MAGICS = (
    (b"QFI\xfb", "qcow2"),
    (SPARSE_MAGIC, "vmdk"),
    (b"COWD", "vmdk"),
    (DESCRIPTOR_MAGIC, "vmdk"),
    (b"vhdxfile", "vhdx"),
    (b"WithoutFreeSpace", "parallels"),
    (b"WithouFreSpacExt", "parallels"),
)
_VDI_MAGIC = (0x40, b"\x7f\x10\xda\xbe")
_VHD_COOKIE = b"conectix"
_QCOW_VERSION = slice(4, 8)


def image_format(descriptor: int) -> str:
    """QEMU's name for the format of an open disk image; ``raw`` where no other is recognised."""
    size = os.lseek(descriptor, 0, os.SEEK_END)
    head = read_fully(descriptor, _SECTOR, 0)
    for magic, name in _HEAD_MAGICS:
        if head.startswith(magic):
            return "qcow" if name == "qcow2" and head[_QCOW_VERSION] == b"\0\0\0\1" else name
    offset, magic = _VDI_MAGIC
    if head[offset:].startswith(magic):
        return "vdi"
    # A VHD's footer is its last sector, or 511 bytes in files of old versions of Virtual PC; dynamic ones
    # hold a copy at the start (Virtual Hard Disk specification 1.0, "Hard Disk Footer Format").
    footer = read_fully(descriptor, _SECTOR, max(0, size - _SECTOR))
    if head.startswith(_VHD_COOKIE) or footer.startswith(_VHD_COOKIE) or footer[1:].startswith(_VHD_COOKIE):
        return "vpc"
    return "raw"


def detect(location: str) -> DiskSource:
    """Where a disk named on the command line is read: a path, told by its magic, or an NBD URI.

    Raises:
        DiskError: missing, empty, a folder, or not readable.
    """
    if _URI.match(location):
        return NbdSource(location)
    path = str(Path(location).absolute())
    descriptor = open_file(path)
    try:
        name = image_format(descriptor)
    finally:
        os.close(descriptor)
    return RawFile(path) if name == "raw" else ImageFile(path, name)
