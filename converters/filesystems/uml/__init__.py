"""User-mode Linux: the kernel as an ordinary process, to recover file systems and read what no other can."""

from converters.filesystems.uml.errors import NotMountedError, RecoveryError
from converters.filesystems.uml.recovery import Recovered, RecoveryLimits, copy_volume, recover

__all__ = ["NotMountedError", "Recovered", "RecoveryError", "RecoveryLimits", "copy_volume", "recover"]
