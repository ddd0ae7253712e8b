"""ext2, ext3 and ext4, read in process and unprivileged through libext2fs."""

from converters.filesystems.ext.reader import ExtFilesystem

__all__ = ["ExtFilesystem"]
