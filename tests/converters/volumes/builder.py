"""Disks that LVM, md and others made under a kernel of their own: user-mode Linux with the host's programs.

Kernels without device mapper or md, as in many containers and virtual machines, cannot make them directly.
"""

from __future__ import annotations

import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path

from converters.filesystems.initrd import BUSYBOX, Member, archive
from converters.filesystems.uml import machine, programs
from converters.process import run
from deploy.demo import cache

MIB = 1 << 20
FILLED = 1_000_000
"""Bytes of the file ``filled`` of each volume."""
_TOOLS = tuple(Path(path) for path in ("/sbin/lvm", "/sbin/mdadm", "/sbin/mke2fs", "/sbin/mkfs.xfs"))
_MODULES = (
    *("dm-thin-pool", "dm-cache", "dm-cache-smq", "dm-snapshot", "dm-mirror", "dm-raid"),
    *("md-mod", "linear", "raid0", "raid1", "raid10", "raid456"),
)
_INIT = r"""#!/bin/busybox sh
export PATH=/sbin:/bin LVM_SUPPRESS_FD_WARNINGS=1
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
for module in /modules/*.ko; do insmod $module; done
cat > /etc/lvm/lvm.conf << 'END'
devices { scan = [ "/dev" ] filter = [ "a|^/dev/ubd|", "a|^/dev/md|", "r|.*|" ] use_devicesfile = 0
          obtain_device_list_from_udev = 0 external_device_info_source = "none" }
global { use_lvmpolld = 0 thin_check_executable = "" cache_check_executable = "" }
activation { udev_sync = 0 udev_rules = 0 monitoring = 0 }
backup { backup = 0 archive = 0 }
END
sh -ex /script 2>&1 && sync && echo "the disks are made"
poweroff -f
"""
_FUNCTIONS = r"""
fill() { # DEVICE PATTERN: ext4 with the file `filled`
    /sbin/mke2fs -q -t ext4 "$1" && mount -t ext4 "$1" /mnt &&
    yes "$2" | head -c %(filled)d > /mnt/filled && umount /mnt
}
synced() { # until no volume of the group is being synchronised
    while lvm lvs --noheadings -o copy_percent "$1" | grep -v 100.00 | grep -q '[0-9]'; do sleep 0.2; done
}
"""


def filled(pattern: str) -> bytes:
    """The content of a volume's file ``filled``: lines of its pattern."""
    line = pattern.encode() + b"\n"
    return (line * (FILLED // len(line) + 1))[:FILLED]


def made(kind: str, sizes: Sequence[int], script: str, tables: Sequence[str] = (), prepare: str = "") -> Path:
    """A folder with disks ``a``, ``b``… of ``sizes`` bytes, as ``script`` left them: ``/dev/ubda``…

    Each disk gets the partition table that sfdisk(8) makes of its one of ``tables``, if there are any, and is
    given to the command ``prepare``. Busybox' shell runs the script, and what fails in it fails the making.
    """
    commands = _FUNCTIONS % {"filled": FILLED} + script

    def make(folder: Path) -> None:
        words = []
        for index, size in enumerate(sizes):
            letter = machine.letter(index)
            with open(folder / letter, "wb") as file:
                file.truncate(size)
            words.append(f"ubd{letter}={letter}")
            if tables:
                subprocess.run(["sfdisk", "-q", folder / letter], input=tables[index].encode(), check=True)
            if prepare:
                subprocess.run(prepare.format(folder / letter).split(), check=True, capture_output=True)
        (folder / "initrd").write_bytes(_initrd(commands))
        command = [machine.KERNEL, "mem=256M", *words, "initrd=initrd", "rdinit=/init", "uml_dir=."]
        command += ["con=null", "con0=null,fd:1", "quiet", "panic=-1", "noreboot"]
        console = run(command, cwd=str(folder), timeout=240).stdout.decode("utf-8", "replace")
        (folder / "initrd").unlink()
        assert "the disks are made" in console, console[-4000:]

    return cache.cached(
        f"volumes-{kind}", cache.digest(_INIT, commands, *map(str, sizes), *tables, prepare), make
    )


def _initrd(script: str) -> bytes:
    version = run([str(machine.kernel()), "--version"]).stdout.decode().strip()
    executable = stat.S_IFREG | 0o755
    tools = [tool for tool in _TOOLS if tool.exists()]
    members = [
        *programs.programs(tools),
        *programs.modules(version, _MODULES),
        Member("bin/busybox", executable, BUSYBOX.read_bytes()),
        Member("init", executable, _INIT.encode()),
        Member("script", executable, script.encode()),
    ]
    applets = run([str(BUSYBOX), "--list"]).stdout.decode().split()
    taken = {member.name.rpartition("/")[2] for member in members}
    members += [
        Member(f"bin/{applet}", stat.S_IFLNK | 0o777, b"busybox") for applet in applets if applet not in taken
    ]
    folders = ("dev", "mnt", "proc", "run/lock/lvm", "sys", "tmp", "etc/lvm", "etc/mdadm")
    return archive(
        [Member(folder, stat.S_IFDIR | 0o755) for folder in ("run", "run/lock", "etc", *folders)]
        + programs.with_folders(members)
    )
