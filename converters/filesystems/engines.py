"""Which engine reads a volume, and which takes over when it cannot: decided here, without touching a disk.

In process where that is exact; for a journal that has to be replayed, user-mode Linux first; what is not read
in process by user-mode Linux alone; libguestfs for everything else. An engine that is not sure says so by an
error, and each step down is told with its reason.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Engine(StrEnum):
    """How a volume is read."""

    EXT2FS = "ext2fs"
    """ext2, ext3 and ext4 in process."""
    XFS = "xfs"
    """XFS in process."""
    BTRFS = "btrfs"
    """btrfs in process, its log replayed in memory."""
    UML = "uml"
    """In process, over what user-mode Linux recovered or assembled."""
    UML_READER = "uml-reader"
    """By user-mode Linux alone; switched on with ``uml``."""
    GUESTFS = "guestfs"


IN_PROCESS = {
    "ext2": Engine.EXT2FS,
    "ext3": Engine.EXT2FS,
    "ext4": Engine.EXT2FS,
    "xfs": Engine.XFS,
    "btrfs": Engine.BTRFS,
}
"""File systems read in process, in blkid(8)'s words, and the engine that reads each."""

BY_UML = frozenset({"btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "nilfs2", "reiserfs", "xfs"})
"""File systems that the kernel of user-mode Linux reads."""


@dataclass(frozen=True, slots=True)
class Need:
    """What a volume asks of its reader."""

    type: str
    on_disk: bool = True
    """Whether it is a range of a disk, and not assembled from several."""
    dirty: bool = False
    """Whether its journal holds changes that are not in place yet."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The engine to take, None when there is none left, and those before it with the reason against each."""

    engine: Engine | None
    passed: tuple[tuple[Engine, str], ...]


def next_engine(need: Need, allowed: Collection[Engine], failed: Mapping[Engine, str]) -> Decision:
    """Decide who reads a volume: the first in order that nothing speaks against.

    Args:
        allowed: engines that are switched on.
        failed: what was tried on this volume already, and how it ended.
    """
    passed: list[tuple[Engine, str]] = []
    # What has no reader in process is told as the oldest one's: "it reads …, not …".
    reader = IN_PROCESS.get(need.type, Engine.EXT2FS)
    # What this kernel refuses to recover, it refuses to read.
    first = (Engine.UML,) if need.dirty else (reader, Engine.UML_READER)
    for engine in (*first, Engine.GUESTFS):
        reason = failed.get(engine) or _objection(engine, need, allowed)
        if not reason:
            return Decision(engine, tuple(passed))
        passed.append((engine, reason))
    return Decision(None, tuple(passed))


def _objection(engine: Engine, need: Need, allowed: Collection[Engine]) -> str:
    """Why an engine is not even tried; empty when it is."""
    if (Engine.UML if engine is Engine.UML_READER else engine) not in allowed:
        return "it is switched off"
    if engine is Engine.GUESTFS:
        return ""
    if not need.on_disk:
        return "only libguestfs sees it"
    if engine is Engine.UML_READER:
        return "" if need.type in BY_UML else f"it does not read {need.type or 'unknown content'}"
    reader = IN_PROCESS.get(need.type)
    if reader is None:
        return f"{', '.join(IN_PROCESS)} are read in process, not {need.type or 'unknown content'}"
    if reader not in allowed:
        return f"the reader for what it recovers, {reader}, is switched off"
    return ""
