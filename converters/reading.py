"""How a guest's disks are read: a value that pickles, for workers and for the reading process.

It stands apart from ``converters.request``, which knows plans: the reading process need not import those.
"""

from __future__ import annotations

from dataclasses import dataclass

from converters.filesystems.limits import DEFAULT_LIMITS, Limits


@dataclass(frozen=True, slots=True)
class Reading:
    """How the guest's disks are read, and the limits of the process that does it."""

    engines: tuple[str, ...] = ("ext2fs", "xfs", "btrfs", "uml", "guestfs")
    """Engines that may be used, in order; leaving one out switches it off."""
    root: str = ""
    """The volume with the root file system, as ``roots.find_root`` takes it; empty: it is found."""
    luks_keys: str = ""
    """Folder on the machine that reads, with the keys of encrypted volumes in files named by their UUIDs."""
    memory_bytes: int = 4 << 30
    """Address space of the reading process."""
    stall_seconds: float = 600
    """The reading process is ended after this long without a sign of life."""
    tree_bytes: int | None = None
    """Most bytes of tar that it may give; None: what its disks can hold (``converters.reader.limits``)."""
    total_seconds: float | None = None
    """The reading process is ended once it was waited for this long in all; None: what its bytes take."""
    limits: Limits = DEFAULT_LIMITS
    """What opening the guest's volumes may take beside memory."""
    keep: tuple[str, ...] = ()
    """Names of clean-up rules that are switched off."""
    clean: tuple[str, ...] = ()
    """Names of clean-up rules that are switched on beside the default ones."""


DEFAULT_READING = Reading()
