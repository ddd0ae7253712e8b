"""Recovery of a dirty file system by the kernel itself: user-mode Linux mounts and unmounts it.

What the mount writes (journal replay, orphan clean-up) lands in a copy-on-write file beside the disk, which
stays untouched; both together are the recovered disk (``converters.disks.overlay.CowDisk``).
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from converters import headway
from converters.errors import FilesystemError, ScratchFullError
from converters.filesystems.initrd import CHECKED, MOUNTED, UNMOUNTED, recovery_initrd
from converters.filesystems.uml import machine
from converters.filesystems.uml.errors import NotMountedError, RecoveryError
from converters.filesystems.uml.machine import Machine
from converters.process import ProcessError, Running

OPTIONS: Mapping[str, tuple[str, str]] = {
    "ext3": ("ext4", "noatime,noinit_itable"),
    "ext4": ("ext4", "noatime,noinit_itable"),
    "xfs": ("xfs", "noatime,nouuid"),
}
"""What this kernel recovers: its driver's name, and mount options that keep the writing to the replay."""

_MIB = 1 << 20
_BASE_MEMORY_MIB = 160
_POLL = 0.02
_LOST = "I/O error"
_SIGNIFICANT = re.compile(r"EXT4-fs|JBD2|XFS|I/O error|Kernel panic|Out of memory")


@dataclass(frozen=True, slots=True)
class RecoveryLimits:
    """What one recovery may take."""

    seconds: float = 300
    memory_mib: int = 1536
    """Of the kernel, which holds a bit for each sector of the disk: this is enough for 5 TiB."""
    written_bytes: int = 8 << 30
    """Blocks of the copy-on-write file; a journal is at most 2 GiB on XFS, usually 1 GiB on ext4."""
    console_bytes: int = _MIB


LIMITS = RecoveryLimits()


@dataclass(frozen=True, slots=True)
class Recovered:
    """A file system that the kernel mounted and cleanly unmounted."""

    cow: Path
    """Copy-on-write file over the whole disk, in user-mode Linux's format."""
    written: int
    """Bytes that the replay changed, rounded up to blocks of the scratch folder."""
    seconds: float
    notes: tuple[str, ...]
    """What the kernel said that a person should know."""


def recover(base: Path, start: int, type: str, cow: Path, limits: RecoveryLimits = LIMITS) -> Recovered:
    """Replay the journal of the file system at byte ``start`` of the raw disk image ``base``.

    Args:
        type: ``ext3``, ``ext4`` or ``xfs``.
        cow: where the changes go; does not exist yet, and its folder is scratch space meanwhile.

    Raises:
        RecoveryError: not a type this kernel knows, not mounted, not cleanly unmounted, or past a limit.
        ProcessError: user-mode Linux is not installed or cannot run here.
        ScratchFullError: no space for what the replay writes.
    """
    began = time.monotonic()
    if type not in OPTIONS:
        raise RecoveryError(f"user-mode Linux here does not recover {type or 'unknown content'}")
    try:
        memory = machine.memory_mib(_BASE_MEMORY_MIB, [base], limits.memory_mib)
    except FilesystemError as error:
        raise RecoveryError(error.message, error.hint) from None
    with tempfile.TemporaryDirectory(prefix="recovery-", dir=cow.parent) as folder:
        workspace = Path(folder)
        try:
            console = _boot(workspace, base, start, type, memory, limits)
            _check(console)
        except (RecoveryError, ProcessError) as error:
            if machine.is_full(workspace):
                message = f"the scratch folder {cow.parent} is full: no space to replay a journal in"
                raise ScratchFullError(message) from error
            raise
        changed = machine.written(workspace)
        (workspace / "cow-a").rename(cow)
    return Recovered(cow, changed, time.monotonic() - began, _notes(console))


def _boot(workspace: Path, base: Path, start: int, type: str, memory: int, limits: RecoveryLimits) -> str:
    """Run the kernel to its end inside the limits; its console."""
    try:
        initrd = recovery_initrd(machine.kernel())
    except OSError as error:
        hint = "install the Debian packages user-mode-linux and busybox-static"
        raise RecoveryError(f"user-mode Linux has no RAM disk: {error}", hint) from error
    driver, options = OPTIONS[type]
    work = [f"recovery_start={start}", f"recovery_type={driver}", f"recovery_options={options}"]
    with (
        open(workspace / "console", "x+b") as console,
        machine.booted(Machine(workspace, [base], initrd, memory, work), console) as child,
    ):
        _watch(child, console, workspace, limits)
        if child.ended() != 0:
            raise child.failure()
        console.seek(0)
        return console.read(limits.console_bytes).decode("utf-8", "backslashreplace")


def _watch(child: Running, console: IO[bytes], workspace: Path, limits: RecoveryLimits) -> None:
    """Wait for the kernel's end; leaving with an error ends it."""
    deadline = time.monotonic() + limits.seconds
    ended, done = False, 0
    while not ended:
        time.sleep(_POLL)
        ended = child.ended() is not None  # asked first, so that what it did last is looked at too
        if not ended and time.monotonic() > deadline:
            raise RecoveryError(
                f"user-mode Linux did not end within {limits.seconds:g} seconds", "raise --uml-seconds"
            )
        said, changed = os.fstat(console.fileno()).st_size, machine.written(workspace)
        if said > limits.console_bytes:
            raise RecoveryError(
                f"user-mode Linux wrote more than {limits.console_bytes} bytes to its console"
            )
        if said + changed > done:
            done = said + changed
            headway.advance()
        if changed > limits.written_bytes:
            raise RecoveryError(
                f"the recovery changed more than {limits.written_bytes} bytes of the disk",
                "raise --uml-changes",
            )


def _check(console: str) -> None:
    lines = console.splitlines()
    said = "".join(f": {note}" for note in _notes(console)[-3:])
    if MOUNTED not in lines:
        raise NotMountedError(f"user-mode Linux did not mount the file system{said}")
    if UNMOUNTED not in lines:
        raise RecoveryError(f"user-mode Linux did not unmount the file system cleanly{said}")
    if _LOST in console:  # a page written late can be lost without a word from mount and umount
        raise RecoveryError(f"user-mode Linux could not read or write the disk{said}")


def _notes(console: str) -> tuple[str, ...]:
    notes = [line.strip() for line in console.splitlines() if _SIGNIFICANT.search(line)]
    if CHECKED in console.splitlines():
        notes.append("the kernel refused the journal; e2fsck replayed it up to the last good commit")
    return tuple(notes)
