"""Starts user-mode Linux (Debian's ``user-mode-linux``) over disk images: no privilege, no KVM.

What it writes to a disk lands in a copy-on-write file beside it, and the disk stays untouched.
"""

from __future__ import annotations

import math
import os
import shutil
import stat
import string
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from converters.errors import FilesystemError
from converters.process import MINIMAL_ENVIRONMENT, Running, running

KERNEL = "linux.uml"
MOST_DISKS = 16
"""That its block driver takes (MAX_DEV of ``arch/um/drivers/ubd_kern.c``)."""

_MIB = 1 << 20
_SECTOR = 512
_NOBODY = 65534
_LETTERS = string.ascii_lowercase[:MOST_DISKS]

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


@dataclass(frozen=True, slots=True)
class Machine:
    """What is started."""

    workspace: Path
    """An empty folder for its files; its copy-on-write files are ``cow-a``, ``cow-b``…"""
    disks: Sequence[Path]
    """Raw images or block devices: ``/dev/ubda``, ``/dev/ubdb``…"""
    initrd: bytes
    """The RAM disk, whose ``/init`` is its first process."""
    memory_mib: int
    parameters: Sequence[str] = ()
    """Further words of the kernel's command line; they reach ``/init`` as variables."""
    line: tuple[int, int] | None = None
    """Descriptors of its serial line ``/dev/ttyS0``: what it reads from, what it writes to."""


def letter(index: int) -> str:
    """The last letter of the device of disk number ``index``: ``/dev/ubda`` is the first."""
    return _LETTERS[index]


def kernel() -> Path:
    """The kernel's program, where it is installed; else its mere name."""
    return Path(shutil.which(KERNEL, path=MINIMAL_ENVIRONMENT["PATH"]) or KERNEL)


def memory_mib(base_mib: int, disks: Sequence[Path], most_mib: int) -> int:
    """MiB of memory for the kernel: what its work needs, and a bit for each sector of the disks.

    Raises:
        FilesystemError: more than ``most_mib``.
    """
    total = base_mib
    for disk in disks:
        with open(disk, "rb") as image:
            total += math.ceil(image.seek(0, os.SEEK_END) / _SECTOR / 8 / _MIB)
    if total > most_mib:
        raise FilesystemError(
            f"user-mode Linux over disks this large takes {total} MiB of memory, more than {most_mib}",
            "raise --uml-memory",
        )
    return total


@contextmanager
def booted(machine: Machine, console: IO[bytes]) -> Iterator[Running]:
    """The machine, running; leaving ends it. Its console goes to ``console``.

    Raises:
        ProcessError: user-mode Linux is not installed or cannot be started.
    """
    workspace = machine.workspace
    disks = []
    for letter, disk in zip(_LETTERS, machine.disks, strict=False):
        # Names are relative and short: user-mode Linux splits this argument at commas and colons.
        (workspace / f"base-{letter}").symlink_to(disk.resolve())
        disks.append(f"ubd{letter}=cow-{letter},base-{letter}")
    (workspace / "initrd").write_bytes(machine.initrd)
    identity = _identity(workspace, machine.disks)
    words = [KERNEL, f"mem={machine.memory_mib}M", *disks, "initrd=initrd", "rdinit=/init", "uml_dir=."]
    words += ["con=null", "con0=fd:0,fd:1", "loglevel=5", "panic=-1", "noreboot", *machine.parameters]
    passed: Collection[int] = ()
    if machine.line is not None:
        words.append(f"ssl0=fd:{machine.line[0]},fd:{machine.line[1]}")
        passed = machine.line
    guard = ["setpriv", "--no-new-privs", *identity, "--pdeathsig", "TERM", "--"]
    guard += ["/bin/sh", "-c", _GUARD, "sh"]
    environment = {**MINIMAL_ENVIRONMENT, "TMPDIR": str(_memory_folder(workspace, machine.memory_mib))}
    with running(
        [*guard, *words], env=environment, cwd=str(workspace), stdout=console, pass_fds=passed
    ) as child:
        yield child


def written(workspace: Path) -> int:
    """Bytes that the machine changed on its disks so far, in blocks of the folder's file system."""
    return sum(cow.stat().st_blocks * _SECTOR for cow in workspace.glob("cow-*"))


def is_full(folder: Path) -> bool:
    """Whether hardly any room is left where ``folder`` is."""
    space = os.statvfs(folder)
    return space.f_bavail * space.f_frsize < _MIB


def _identity(workspace: Path, disks: Sequence[Path]) -> list[str]:
    """The words for setpriv(1) that take root's powers away: none is needed, and a hostile disk may rule us.

    Root becomes nobody where nobody may read the disks, and else stays root without any capability.
    """
    if os.geteuid() != 0:
        return []
    powerless = ["--inh-caps=-all", "--bounding-set=-all"]
    if not (all(map(_open_to_all, disks)) and _open_to_all(workspace.parent, stat.S_IXOTH)):
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
