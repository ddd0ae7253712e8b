"""A disk under a copy-on-write file reads as the kernel that wrote the file reads it."""

from __future__ import annotations

import hashlib
import random
import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from converters.disks.overlay import CowDisk
from converters.disks.raw import RawDisk
from converters.errors import DiskError
from converters.filesystems.initrd import Member, archive
from converters.process import run

# Reads of one page at a time: Linux 6.1 reads wrong data when one request goes on behind a page that is only
# partly in the copy-on-write file.
_INIT = b"""#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t ext4 /dev/ubda /mnt &&
/bin/busybox rm /mnt/text &&
/bin/busybox dd if=/dev/urandom of=/mnt/new bs=1000 count=300 2>/dev/null
/bin/busybox umount /mnt
/bin/busybox dd if=/dev/ubda bs=4096 iflag=direct 2>/dev/null | /bin/busybox sha256sum
/bin/busybox poweroff -f
"""


def _ramdisk() -> bytes:
    members = [Member(name, 0o40755) for name in ("bin", "dev", "mnt")]
    members.append(Member("bin/busybox", 0o100755, Path("/bin/busybox").read_bytes()))
    members.append(Member("init", 0o100755, _INIT))
    return archive(members)


@pytest.fixture(scope="module")
def changed(raw_image: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A copy-on-write file that a kernel made, and the digest of what that kernel then read."""
    folder = tmp_path_factory.mktemp("cow")
    (folder / "initrd").write_bytes(_ramdisk())
    (folder / "base").symlink_to(raw_image)
    machine = ["linux.uml", "mem=128M", "ubda=cow,base", "initrd=initrd", "rdinit=/init", "uml_dir=."]
    console = run([*machine, "con=null", "con0=null,fd:1", "quiet"], cwd=str(folder), timeout=60).stdout
    digest = next(line.split()[0] for line in console.decode().splitlines() if line.rstrip().endswith(" -"))
    return folder / "cow", digest


@pytest.fixture
def disk(raw_image: Path, changed: tuple[Path, str]) -> Iterator[CowDisk]:
    with closing(CowDisk(RawDisk(str(raw_image)), str(changed[0]))) as opened:
        yield opened


def test_reads_what_the_kernel_reads(disk: CowDisk, raw_image: Path, changed: tuple[Path, str]) -> None:
    content = disk.pread(disk.size, 0)
    assert hashlib.sha256(content).hexdigest() == changed[1]
    assert content != raw_image.read_bytes()
    assert 300_000 < disk.changed < 2 << 20


def test_every_cut_of_a_read_gives_the_same_bytes(disk: CowDisk) -> None:
    content = disk.pread(disk.size, 0)
    generator = random.Random(1)
    edges = [start + step for start in (*disk._starts, *disk._ends) for step in (-1, 0, 1)]
    for offset in edges + [generator.randrange(disk.size) for _ in range(300)]:
        length = generator.choice([1, 511, 512, 4096, 100_000])
        assert disk.pread(length, offset) == content[offset : offset + length]
    assert disk.pread(100, disk.size) == b""


def test_closes_twice(disk: CowDisk) -> None:
    disk.close()
    disk.close()
    with pytest.raises(DiskError):
        disk.pread(1, 0)


def _refused(raw_image: Path, path: Path, content: bytes, message: str) -> None:
    path.write_bytes(content)
    base = RawDisk(str(raw_image))
    with closing(base), pytest.raises(DiskError, match=message):
        CowDisk(base, str(path))


def test_what_is_no_copy_on_write_file_is_refused(
    raw_image: Path, changed: tuple[Path, str], tmp_path: Path
) -> None:
    good = changed[0].read_bytes()
    path = tmp_path / "cow"
    _refused(raw_image, path, b"", "empty")
    _refused(raw_image, path, good[:100], "too short")
    _refused(raw_image, path, b"XXXX" + good[4:], "no copy-on-write file")
    _refused(raw_image, path, good[:4] + struct.pack(">I", 2) + good[8:], "version 3")
    _refused(raw_image, path, good[:12] + struct.pack(">Q", 4096) + good[20:], "4096 bytes")


def test_a_copy_on_write_file_cut_short_is_told(
    raw_image: Path, changed: tuple[Path, str], tmp_path: Path
) -> None:
    cut = tmp_path / "cow"
    cut.write_bytes(changed[0].read_bytes()[: 1 << 20])
    with (
        closing(CowDisk(RawDisk(str(raw_image)), str(cut))) as disk,
        pytest.raises(DiskError, match="ends before"),
    ):
        disk.pread(disk.size, 0)
