"""Recovery of a dirty file system by the kernel itself: user-mode Linux mounts and unmounts it.

User-mode Linux (Debian's ``user-mode-linux``) is the kernel as an ordinary process: no privilege, no KVM.
What the mount writes (journal replay, orphan clean-up) lands in a copy-on-write file beside the disk, which
stays untouched; both together are the recovered disk (``converters.disks.overlay.CowDisk``).
"""

from __future__ import annotations

import math
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from converters.disks.base import Disk
from converters.errors import FilesystemError, ScratchFullError
from converters.filesystems.initrd import CHECKED, MOUNTED, UNMOUNTED, recovery_initrd
from converters.process import MINIMAL_ENVIRONMENT, ProcessError, Running, running

KERNEL = "linux.uml"

OPTIONS: Mapping[str, tuple[str, str]] = {
    "ext3": ("ext4", "noatime,noinit_itable"),
    "ext4": ("ext4", "noatime,noinit_itable"),
    "xfs": ("xfs", "noatime,nouuid"),
}
"""What this kernel recovers: its driver's name, and mount options that keep the writing to the replay."""

_MIB = 1 << 20
_SECTOR = 512
_BASE_MEMORY_MIB = 160
_COPY = 4 * _MIB
_POLL = 0.02
_NOBODY = 65534
_LOST = "I/O error"
_SIGNIFICANT = re.compile(r"EXT4-fs|JBD2|XFS|I/O error|Kernel panic|Out of memory")


_GUARD = """\
trap 'kill -KILL ${!:+-$!} 0' TERM
"$@" &
wait $!
status=$?
kill -KILL -$! 2>/dev/null
exit $status
"""
"""User-mode Linux is several processes in a session of their own, and when the first is killed the others go
on alone. So when we die or have had enough, a shell is told by a signal it can catch, and kills both groups
outright. A milder signal would not do: a process stopped for a tracer that is gone stays stopped for ever."""


class RecoveryError(FilesystemError):
    """The journal could not be replayed here; another engine may still read the file system."""


class NotMountedError(RecoveryError):
    """User-mode Linux runs here, and does not take what is on the disk for a file system it can mount."""


@dataclass(frozen=True, slots=True)
class RecoveryLimits:
    """What one recovery may take."""

    seconds: float = 120
    memory_mib: int = 1024
    """Of the kernel; it holds a bit for each sector of the disk: 1 GiB is enough for disks up to 3.3 TiB."""
    written_bytes: int = 4 << 30
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
    memory = _memory_mib(base)
    if memory > limits.memory_mib:
        raise RecoveryError(
            f"recovering a disk this large takes {memory} MiB of memory, more than {limits.memory_mib}"
        )
    with tempfile.TemporaryDirectory(prefix="recovery-", dir=cow.parent) as folder:
        workspace = Path(folder)
        (workspace / "base").symlink_to(base.resolve())
        try:
            console = _boot(workspace, base, start, type, memory, limits)
            _check(console)
        except (RecoveryError, ProcessError) as error:
            if _is_full(workspace):
                message = f"the scratch folder {cow.parent} is full: no space to replay a journal in"
                raise ScratchFullError(message) from error
            raise
        written = (workspace / "cow").stat().st_blocks * _SECTOR
        (workspace / "cow").rename(cow)
    return Recovered(cow, written, time.monotonic() - began, _notes(console))


def copy_volume(disk: Disk, start: int, size: int, path: Path) -> None:
    """A sparse raw image at ``path`` as large as ``disk``, holding only ``size`` bytes of it from ``start``.

    User-mode Linux reads files, and a disk behind the network block device protocol is none.

    Raises:
        DiskError: the disk cannot be read.
        OSError: no space left.
    """
    zeros = bytes(_COPY)
    with open(path, "xb") as image:
        image.truncate(disk.size)
        end = min(start + size, disk.size)
        for offset in range(start, end, _COPY):
            chunk = disk.pread(min(_COPY, end - offset), offset)
            if chunk != zeros[: len(chunk)]:
                os.pwrite(image.fileno(), chunk, offset)


def _memory_mib(base: Path) -> int:
    """Memory for the kernel: what a mount needs, and the bitmap of changed sectors of the whole disk."""
    with open(base, "rb") as image:
        size = image.seek(0, os.SEEK_END)
    return _BASE_MEMORY_MIB + math.ceil(size / _SECTOR / 8 / _MIB)


def _boot(workspace: Path, base: Path, start: int, type: str, memory: int, limits: RecoveryLimits) -> str:
    """Run the kernel to its end inside the limits; its console."""
    kernel = shutil.which(KERNEL, path=MINIMAL_ENVIRONMENT["PATH"])
    try:
        initrd = recovery_initrd(Path(kernel or KERNEL))
    except OSError as error:
        hint = "install the Debian packages user-mode-linux and busybox-static"
        raise RecoveryError(f"user-mode Linux has no RAM disk: {error}", hint) from error
    (workspace / "initrd").write_bytes(initrd)
    identity = _identity(workspace, base)
    driver, options = OPTIONS[type]
    # Names are relative: user-mode Linux splits this argument at commas and colons.
    machine = [KERNEL, f"mem={memory}M", "ubda=cow,base", "initrd=initrd", "rdinit=/init", "uml_dir=."]
    quiet = ["con=null", "con0=fd:0,fd:1", "loglevel=5", "panic=-1", "noreboot"]
    work = [f"recovery_start={start}", f"recovery_type={driver}", f"recovery_options={options}"]
    guard = ["setpriv", "--no-new-privs", *identity, "--pdeathsig", "TERM", "--"]
    guard += ["/bin/sh", "-c", _GUARD, "sh"]
    environment = {**MINIMAL_ENVIRONMENT, "TMPDIR": str(_memory_folder(workspace, memory))}
    with open(workspace / "console", "x+b") as console:
        with running(
            [*guard, *machine, *quiet, *work], env=environment, cwd=str(workspace), stdout=console
        ) as child:
            _watch(child, console, workspace / "cow", limits)
            if child.ended() != 0:
                raise child.failure()
        console.seek(0)
        return console.read(limits.console_bytes).decode("utf-8", "backslashreplace")


def _identity(workspace: Path, base: Path) -> list[str]:
    """The words for setpriv(1) that take root's powers away: none is needed, and a hostile disk may rule us.

    Root becomes nobody where nobody may read the disk, and else stays root without any capability.
    """
    if os.geteuid() != 0:
        return []
    powerless = ["--inh-caps=-all", "--bounding-set=-all"]
    if not (_open_to_all(base) and _open_to_all(workspace.parent, stat.S_IXOTH)):
        return powerless
    for path in (workspace, workspace / "initrd"):
        os.chown(path, _NOBODY, _NOBODY)
    return [f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups", *powerless]


def _open_to_all(path: Path, need: int = stat.S_IROTH) -> bool:
    """Whether any user has ``need`` on ``path`` and can reach it."""
    real = path.resolve()
    return bool(real.stat().st_mode & need) and all(
        folder.stat().st_mode & stat.S_IXOTH for folder in real.parents
    )


def _memory_folder(workspace: Path, memory: int) -> Path:
    """Where the kernel keeps its memory, a file: in memory if there is room (Docker gives 64 MB of it)."""
    shared = Path("/dev/shm")
    try:
        space = os.statvfs(shared)
    except OSError:
        return workspace
    roomy = space.f_bavail * space.f_frsize >= memory * _MIB
    return shared if roomy and not space.f_flag & os.ST_NOEXEC else workspace


def _watch(child: Running, console: IO[bytes], cow: Path, limits: RecoveryLimits) -> None:
    """Wait for the kernel's end; leaving with an error ends it."""
    deadline = time.monotonic() + limits.seconds
    ended = False
    while not ended:
        time.sleep(_POLL)
        ended = child.ended() is not None  # asked first, so that what it did last is looked at too
        if not ended and time.monotonic() > deadline:
            raise RecoveryError(f"user-mode Linux did not end within {limits.seconds:g} seconds")
        if os.fstat(console.fileno()).st_size > limits.console_bytes:
            raise RecoveryError(
                f"user-mode Linux wrote more than {limits.console_bytes} bytes to its console"
            )
        if cow.exists() and cow.stat().st_blocks * _SECTOR > limits.written_bytes:
            raise RecoveryError(f"the recovery changed more than {limits.written_bytes} bytes of the disk")


def _check(console: str) -> None:
    lines = console.splitlines()
    said = "".join(f": {note}" for note in _notes(console)[-3:])
    if MOUNTED not in lines:
        raise NotMountedError(f"user-mode Linux did not mount the file system{said}")
    if UNMOUNTED not in lines:
        raise RecoveryError(f"user-mode Linux did not unmount the file system cleanly{said}")
    if _LOST in console:  # a page written late can be lost without a word from mount and umount
        raise RecoveryError(f"user-mode Linux could not read or write the disk{said}")


def _is_full(folder: Path) -> bool:
    space = os.statvfs(folder)
    return space.f_bavail * space.f_frsize < _MIB


def _notes(console: str) -> tuple[str, ...]:
    notes = [line.strip() for line in console.splitlines() if _SIGNIFICANT.search(line)]
    if CHECKED in console.splitlines():
        notes.append("the kernel refused the journal; e2fsck replayed it up to the last good commit")
    return tuple(notes)
