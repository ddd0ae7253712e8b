"""The initial RAM disk of the recovery kernel: busybox, e2fsck, one kernel module and a script of ours.

It is made anew for each recovery: 4 MB of copying, a few milliseconds, so there is no cache to go stale.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from converters.process import run

BUSYBOX = Path("/usr/bin/busybox")
E2FSCK = Path("/sbin/e2fsck.static")
MODULES = Path("/usr/lib/uml/modules")

MOUNTED = "recovery: mounted"
CHECKED = "recovery: checked"
UNMOUNTED = "recovery: unmounted"

# The partition goes through a loop device with an offset, not through the kernel's own partition scan: what
# the reader calls a volume and what the recovery mounts are then one and the same range, whatever the table.
# Read-ahead is off because Linux 6.1's ubd driver reads wrong bytes through a copy-on-write file when a
# request of several pages meets a page that is copied in part, as on a disk whose size is no multiple of a
# page (do_io in ubd_kern.c moves on by the last run's length only). Without it, a read is one page a request.
ATTACH = """/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox insmod /loop.ko
echo 0 > /sys/block/ubda/queue/read_ahead_kb &&
/bin/busybox losetup -o "$recovery_start" /dev/loop0 /dev/ubda"""

# Where the kernel refuses an ext journal as damaged, e2fsck does what it does whenever a guest starts: replay
# up to the last good commit, and mend what is safe to mend (exit status 0 and 1, e2fsck(8)).
SCRIPT = f"""#!/bin/busybox sh
attach() {{ /bin/busybox mount -t "$recovery_type" -o "$recovery_options" /dev/loop0 /mnt; }}
check() {{
    [ "$recovery_type" = ext4 ] && [ -x /e2fsck ] || return 1
    /e2fsck -p /dev/loop0
    [ $? -le 1 ] && echo "{CHECKED}"
}}
{ATTACH} &&
{{ attach || {{ check && attach; }}; }} &&
echo "{MOUNTED}" &&
/bin/busybox umount /mnt &&
/bin/busybox losetup -d /dev/loop0 &&
/bin/busybox sync &&
echo "{UNMOUNTED}"
/bin/busybox poweroff -f
"""


@dataclass(frozen=True, slots=True)
class Member:
    """One file or directory of a RAM disk."""

    name: str
    mode: int
    """Type and permission bits, as in ``st_mode``."""
    data: bytes = b""


def recovery_initrd(kernel: Path, script: str = SCRIPT) -> bytes:
    """The RAM disk for ``kernel``, a user-mode Linux: the module has to match its version.

    Without e2fsck (Debian's ``e2fsck-static``), a journal that the kernel refuses stays refused.

    Raises:
        ProcessError: the kernel does not run.
        OSError: busybox or the kernel's loop module is missing.
    """
    version = run([str(kernel), "--version"]).stdout.decode().strip()
    module = MODULES / version / "kernel/drivers/block/loop.ko"
    folder = stat.S_IFDIR | 0o755
    program = stat.S_IFREG | 0o755
    members = [Member(name, folder) for name in ("bin", "dev", "mnt", "proc", "sys")]
    members.append(Member("bin/busybox", program, BUSYBOX.read_bytes()))
    members.append(Member("init", program, script.encode()))
    members.append(Member("loop.ko", stat.S_IFREG | 0o644, module.read_bytes()))
    if E2FSCK.exists():
        members.append(Member("e2fsck", program, E2FSCK.read_bytes()))
    return archive(members)


def archive(members: Iterable[Member]) -> bytes:
    """A cpio archive in the ``newc`` format (Linux, driver-api/early-userspace/buffer-format.rst)."""
    parts = [_record(number, member) for number, member in enumerate(members, start=1)]
    parts.append(_record(0, Member("TRAILER!!!", 0)))
    return b"".join(parts)


def _record(inode: int, member: Member) -> bytes:
    name = member.name.encode() + b"\0"
    # inode, mode, uid, gid, links, mtime, size, four device numbers, length of the name, checksum
    fields = (inode, member.mode, 0, 0, 1, 0, len(member.data), 0, 0, 0, 0, len(name), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    return _padded(header + name) + _padded(member.data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
