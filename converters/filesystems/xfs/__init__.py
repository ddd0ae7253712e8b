"""XFS, version 4 and 5, read in process ("XFS Algorithms & Data Structures", and the kernel's headers)."""

from converters.filesystems.xfs.reader import XfsFilesystem

__all__ = ["XfsFilesystem"]
