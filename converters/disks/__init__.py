"""One read-only, random-access ``Disk`` for every source and format."""

from converters.disks.base import Disk, DiskSource, ImageFile, NbdSource, RawFile
from converters.disks.detect import detect
from converters.disks.open import open_disk

__all__ = ["Disk", "DiskSource", "ImageFile", "NbdSource", "RawFile", "detect", "open_disk"]
