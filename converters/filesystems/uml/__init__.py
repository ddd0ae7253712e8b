"""User-mode Linux: the kernel as an ordinary process, to recover file systems and read what no other can."""

from converters.filesystems.uml.errors import NoRoomError, NotMountedError, RecoveryError
from converters.filesystems.uml.recovery import Recovered, RecoveryLimits, recover

__all__ = ["NoRoomError", "NotMountedError", "Recovered", "RecoveryError", "RecoveryLimits", "recover"]
