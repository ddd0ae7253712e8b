"""What the recovery kernel reads back through its copy-on-write file is what it wrote there."""

from __future__ import annotations

import hashlib
import shutil
from contextlib import closing
from pathlib import Path

from converters.disks.overlay import CowDisk
from converters.disks.raw import RawDisk
from converters.filesystems.initrd import ATTACH, recovery_initrd
from converters.process import run

MIB = 1 << 20
WRITE_AND_READ = f"""#!/bin/busybox sh
{ATTACH}
/bin/busybox mount -t ext4 /dev/loop0 /mnt
for n in 1 2 3 4 5 6 7 8 9 10 11 12; do
    /bin/busybox mkdir /mnt/new$n && echo $n > /mnt/new$n/file
done
/bin/busybox umount /mnt
/bin/busybox sync
echo 3 > /proc/sys/vm/drop_caches
echo "digest: $(/bin/busybox sha256sum < /dev/loop0)"
/bin/busybox poweroff -f
"""


def test_pages_that_are_copied_in_part_read_right(tmp_path: Path) -> None:
    base = tmp_path / "base"
    with open(base, "wb") as file:
        file.truncate(48 * MIB + 512)  # no multiple of a page: the kernel then writes single sectors
    # Blocks of 1 KiB, so that writing one copies a quarter of a page; no zeros, so that a wrong place shows.
    content = tmp_path / "content"
    content.mkdir()
    for number in range(12):
        (content / f"file{number}").write_bytes(hashlib.sha256(bytes([number])).digest() * 65536)
    run(["mke2fs", "-q", "-t", "ext4", "-b", "1024", "-d", str(content), str(base), "48M"])
    kernel = shutil.which("linux.uml")
    assert kernel is not None
    (tmp_path / "initrd").write_bytes(recovery_initrd(Path(kernel), WRITE_AND_READ))
    machine = ["linux.uml", "mem=128M", "ubda=cow,base", "initrd=initrd", "rdinit=/init", "uml_dir=."]
    console = run(
        [*machine, "con=null", "con0=null,fd:1", "quiet", "recovery_start=0"], cwd=str(tmp_path), timeout=120
    ).stdout.decode()
    told = next(line.split()[1] for line in console.splitlines() if line.startswith("digest: "))
    with closing(CowDisk(RawDisk(str(base)), str(tmp_path / "cow"))) as disk:
        assert hashlib.sha256(disk.pread(disk.size, 0)).hexdigest() == told
