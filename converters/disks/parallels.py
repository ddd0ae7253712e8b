"""Whether all of a Parallels image, which QEMU reads, is there (QEMU's ``docs/interop/parallels.txt``)."""

from __future__ import annotations

import struct

from converters.disks.blocks import incomplete
from converters.disks.references import Image
from converters.disks.tables import numbers
from converters.errors import DiskError

_HEADER = struct.Struct("<16sIIIII")
_IN_BLOCKS = b"WithouFreSpacExt"
"""Magic of images whose table counts in blocks and not in sectors."""
_SECTOR = 512
_TABLE = 64
_MOST_BLOCKS = 1 << 27


def check_whole(image: Image) -> None:
    """Refuse an image of which a part is missing: QEMU reads what is behind the end of a file as zeros.

    Raises:
        DiskError: the file ends before a block that it should hold.
    """
    head = image.file.pread(_HEADER.size, 0)
    if len(head) < _HEADER.size:
        raise DiskError(f"{image.path}: too short for a Parallels image", "copy or export the disk again")
    magic, _, _, _, sectors, count = _HEADER.unpack(head)
    if count > _MOST_BLOCKS:
        raise DiskError(f"{image.path}: a Parallels image of {count} blocks", "copy or export the disk again")
    entries = numbers(image.file, _TABLE, count, "I")
    last = _TABLE + count * entries.itemsize
    if highest := max(entries, default=0):
        last = max(last, highest * _SECTOR * (sectors if magic == _IN_BLOCKS else 1) + sectors * _SECTOR)
    if last > image.file.size:
        raise incomplete(image.path, image.file, last)
