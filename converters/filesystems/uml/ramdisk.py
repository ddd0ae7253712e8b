"""The RAM disk of a machine that reads: the agent, Debian's Python, and what assembles volumes."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path

from converters.errors import FilesystemError
from converters.filesystems.initrd import BUSYBOX, E2FSCK, Member, archive
from converters.filesystems.uml import agent, agent_files, machine, programs, wire
from converters.filesystems.uml.ranges import Range
from converters.filesystems.uml.scripts import ASSEMBLE, INIT, REPLAY
from converters.process import run

LVM, MDADM = Path("/sbin/lvm"), Path("/sbin/mdadm")
HINT = "install the Debian packages user-mode-linux, busybox-static, lvm2 and mdadm"
_MAPPER = ("dm-thin-pool", "dm-cache", "dm-cache-smq", "dm-snapshot", "dm-mirror", "dm-raid", "dm-writecache")
_ARRAYS = ("md-mod", "linear", "raid0", "raid1", "raid10", "raid456")
_AGENT = {
    "agent.py": agent,
    **{f"{module.__name__.replace('.', '/')}.py": module for module in (agent_files, wire)},
}
"""Where the agent has itself and what it imports: Python looks for that beside it."""


def session_initrd(
    ranges: Sequence[Range], disks: Sequence[Path], assembles: bool, modules: Sequence[str]
) -> bytes:
    """The RAM disk of a session over ``ranges`` of ``disks``.

    Raises:
        FilesystemError: what goes into it is not installed.
        ProcessError: the kernel does not run.
    """
    letters = {disk: machine.letter(index) for index, disk in enumerate(disks)}
    listed = "".join(f"/dev/ubd{letters[part.path]} {part.start} {part.size}\n" for part in ranges)
    executable, plain = stat.S_IFREG | 0o755, stat.S_IFREG | 0o644
    try:
        version = run([str(machine.kernel()), "--version"]).stdout.decode().strip()
        wanted = ["loop", *(_MAPPER + _ARRAYS if assembles else ()), *modules]
        tools = [path for path in (LVM, MDADM) if assembles and path.exists()]
        members = [
            *programs.python(),
            *programs.programs(tools),
            *programs.modules(version, wanted),
            Member("bin/busybox", executable, BUSYBOX.read_bytes()),
            Member("init", executable, INIT.encode()),
            Member("assemble", executable, ASSEMBLE.encode()),
            Member("replay", executable, REPLAY.encode()),
            *(Member(name, plain, Path(str(one.__file__)).read_bytes()) for name, one in _AGENT.items()),
            Member("ranges", plain, listed.encode()),
        ]
        if E2FSCK.exists():
            members.append(Member("e2fsck", executable, E2FSCK.read_bytes()))
    except OSError as error:
        raise FilesystemError(f"user-mode Linux has no RAM disk: {error}", HINT) from error
    folders = [Member(name, stat.S_IFDIR | 0o755) for name in ("dev", "mnt", "proc", "run", "sys", "tmp")]
    return archive(folders + programs.with_folders(members))
