"""What ends the work of user-mode Linux on a volume."""

from __future__ import annotations

from converters.errors import FilesystemError


class RecoveryError(FilesystemError):
    """The journal could not be replayed here; another engine may still read the file system."""


class NotMountedError(RecoveryError):
    """User-mode Linux runs here, and does not take what is on the disk for a file system it can mount."""


class NoRoomError(RecoveryError):
    """User-mode Linux takes files only, and scratch has no room for a copy of the volume."""
