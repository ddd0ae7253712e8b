"""One read-only, random-access ``Disk`` for every source and format."""

from converters.disks.base import (
    AbsentDisk,
    Disk,
    DiskSource,
    FilePart,
    ImageFile,
    NbdSource,
    PackedDisk,
    RawFile,
)
from converters.disks.detect import detect
from converters.disks.open import open_disk

__all__ = [
    "AbsentDisk",
    "Disk",
    "DiskSource",
    "FilePart",
    "ImageFile",
    "NbdSource",
    "PackedDisk",
    "RawFile",
    "detect",
    "open_disk",
]
