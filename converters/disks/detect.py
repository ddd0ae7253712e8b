"""What kind of disk image a file is, by its own bytes."""

from __future__ import annotations

import re
from pathlib import Path

from converters.disks.base import DiskSource, FilePart, ImageFile, NbdSource, PackedDisk, RawFile
from converters.disks.parts import numbered_files
from converters.disks.raw import FileDisk, RawDisk
from converters.disks.vmdk import SPARSE_MAGIC, is_descriptor

_IMAGE_SUFFIXES = frozenset({".vmdk", ".qcow2", ".qcow", ".vdi", ".vhdx", ".avhdx", ".vhd", ".avhd"})
_FLAT = re.compile(r"-(?:flat|f\d{3,6}|rdmp?)$")
"""VMware's raw extents have the ending of its images."""
_SECTOR = 512
_HEAD = 4096
_URI = re.compile(r"nbds?(\+unix)?://")
_HEAD_MAGICS = (
    (b"QFI\xfb", "qcow2"),
    (SPARSE_MAGIC, "vmdk"),
    (b"COWD", "vmdk"),
    (b"vhdxfile", "vhdx"),
    (b"WithoutFreeSpace", "parallels"),
    (b"WithouFreSpacExt", "parallels"),
)
_VDI_MAGIC = (0x40, b"\x7f\x10\xda\xbe")
_VHD_COOKIE = b"conectix"
_QCOW_VERSION = slice(4, 8)
_GZIP_MAGIC = b"\x1f\x8b\x08"


def image_format(file: FileDisk) -> str:
    """QEMU's name for the format of an open disk image; ``raw`` where no other is recognised.

    Raises:
        DiskError: it cannot be read.
    """
    head = file.pread(_HEAD, 0)
    for magic, name in _HEAD_MAGICS:
        if head.startswith(magic):
            return "qcow" if name == "qcow2" and head[_QCOW_VERSION] == b"\0\0\0\1" else name
    if is_descriptor(head):
        return "vmdk"
    offset, magic = _VDI_MAGIC
    if head[offset:].startswith(magic):
        return "vdi"
    # A VHD's footer is its last sector, or 511 bytes in files of old versions of Virtual PC; dynamic ones
    # hold a copy at the start (Virtual Hard Disk specification 1.0, "Hard Disk Footer Format").
    footer = file.pread(_SECTOR, max(0, file.size - _SECTOR))
    if head.startswith(_VHD_COOKIE) or footer.startswith(_VHD_COOKIE) or footer[1:].startswith(_VHD_COOKIE):
        return "vpc"
    return "raw"


def is_gzip(file: FileDisk) -> bool:
    """Whether these are the bytes of a gzip stream (RFC 1952)."""
    return file.pread(len(_GZIP_MAGIC), 0) == _GZIP_MAGIC


def detect(location: str) -> DiskSource:
    """Where a disk named on the command line is read: a path, told by its magic, or an NBD URI.

    The first file of several numbered ones (``disk.vmdk.000000000``, ``disk.001``) stands for all of them.

    Raises:
        DiskError: missing, empty, a folder, or not readable.
    """
    if _URI.match(location):
        return NbdSource(location)
    path = str(Path(location).absolute())
    pieces = numbered_files(path)
    with RawDisk(path) as file:
        name = image_format(file)
        packed = is_gzip(file)
    if packed or (name != "raw" and len(pieces) > 1):
        return PackedDisk(tuple(map(FilePart, pieces)))
    return RawFile(path) if name == "raw" else ImageFile(path, name)


def misnamed(source: DiskSource) -> str:
    """What there is to say of a disk that is read as raw and called as if it were an image; else empty."""
    match source:
        case RawFile(path):
            suffix = Path(path).suffix.lower()
            if suffix in _IMAGE_SUFFIXES and not _FLAT.search(Path(path).stem):
                return (
                    f"{Path(path).name} is no image of the format {suffix[1:]}, so it was read as a raw disk"
                )
    return ""
