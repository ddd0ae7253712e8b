"""btrfs on one or several devices, read in process (the kernel's ``btrfs_tree.h`` and ``fs/btrfs``)."""

from converters.filesystems.btrfs.pool import Part
from converters.filesystems.btrfs.reader import BtrfsFilesystem
from converters.filesystems.btrfs.storage import Storage

__all__ = ["BtrfsFilesystem", "Part", "Storage"]
