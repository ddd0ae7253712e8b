"""What Linux shows of an image that may be damaged, asked of one that may crash: a process of its own."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import NamedTuple

from converters.filesystems.base import Kind
from converters.filesystems.initrd import ATTACH, recovery_initrd

TOO_LARGE = "too large"
OWNERS, TIMES = 8**8, 8**12
"""Beyond which numbers are cut by busybox's tar; times before 1970 become 0."""
_KERNEL = "/usr/bin/linux.uml"
_DONE = "done"
_ARCHIVE_SIZE = 128 << 20
_KINDS = {
    tarfile.REGTYPE: Kind.FILE,
    tarfile.DIRTYPE: Kind.DIRECTORY,
    tarfile.SYMTYPE: Kind.SYMLINK,
    tarfile.CHRTYPE: Kind.CHARACTER,
    tarfile.BLKTYPE: Kind.BLOCK,
    tarfile.FIFOTYPE: Kind.FIFO,
}
# Busybox's tar stops at the first error, with a status.
_SCRIPT = f"""#!/bin/busybox sh
{ATTACH} &&
/bin/busybox mount -o ro /dev/loop0 /mnt &&
cd /mnt &&
/bin/busybox tar -cf /dev/ubdb . &&
echo {_DONE}
/bin/busybox poweroff -f -n
"""


class Member(NamedTuple):
    """One name of a tree, as an archive of whole seconds has it."""

    kind: str
    mode: int
    uid: int
    gid: int
    size: int
    seconds: int
    target: bytes
    device: tuple[int, int]
    first_name: bytes
    """Of a file that was there before, under this name."""
    sha256: str


def tree(image: Path) -> dict[bytes, Member] | None:
    """By path, the root as ``b""``; None where the kernel does not mount it, or not read all of it."""
    with tempfile.TemporaryDirectory(prefix="judge-") as work:
        archive = Path(work) / "archive"
        with open(archive, "wb") as file:
            file.truncate(_ARCHIVE_SIZE)
        (Path(work) / "initrd").write_bytes(recovery_initrd(Path(_KERNEL), _SCRIPT))
        words = [_KERNEL, "mem=192M", f"ubda=cow,{image}", f"ubdb={archive}", "initrd=initrd", "rdinit=/init"]
        words += ["uml_dir=.", "con=null", "con0=null,fd:1", "loglevel=3", "panic=-1", "noreboot"]
        done = subprocess.run(
            [*words, "recovery_start=0"], cwd=work, capture_output=True, timeout=120, check=False
        )
        return _members(archive) if _DONE.encode() in done.stdout.split() else None


def _members(archive: Path) -> dict[bytes, Member]:
    members: dict[bytes, Member] = {}
    with tarfile.open(archive, errors="surrogateescape") as tar:
        for info in tar:
            path = os.fsencode(info.name).removeprefix(b"./").strip(b"/")
            path = b"" if path == b"." else path
            if info.islnk():
                first = os.fsencode(info.linkname).removeprefix(b"./")
                members[path] = members[first]._replace(first_name=first)
                continue
            kind = _KINDS[info.type]
            content = tar.extractfile(info) if info.isreg() else None
            is_device = kind in (Kind.CHARACTER, Kind.BLOCK)
            members[path] = Member(
                kind=str(kind),
                mode=info.mode,
                uid=info.uid,
                gid=info.gid,
                size=info.size if info.isreg() else 0,
                seconds=int(info.mtime),
                target=os.fsencode(info.linkname) if info.issym() else b"",
                device=(info.devmajor, info.devminor) if is_device else (0, 0),
                first_name=b"",
                sha256=hashlib.sha256(content.read()).hexdigest() if content else "",
            )
    return members
