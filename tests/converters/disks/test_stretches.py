"""What a disk calls a hole reads as zeros, and copies leave it out."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from converters.disks import Disk, detect, open_disk
from converters.disks.copying import copy_range, stored
from converters.disks.mapped import MappedDisk, Segment, Stripe
from converters.disks.raw import RawDisk
from converters.disks.stretches import stretches

from .images import make

MIB = 1 << 20
SIZE = 40 * MIB
DATA = ((0, 5000), (3 * MIB + 512, 200_000), (24 * MIB, 2 * MIB), (SIZE - 4096, 4096))
"""First byte and number of bytes of what is not zeros."""
STORED = sum(size for _, size in DATA)

# QEMU tells no holes of VHDX, which so counts as stored.
FORMATS = (
    ("raw", ""),
    ("vmdk", "monolithicSparse"),
    ("vmdk", "twoGbMaxExtentSparse"),
    ("vmdk", "twoGbMaxExtentFlat"),
    ("vmdk", "streamOptimized"),
    ("vdi", ""),
    ("vpc", ""),
    ("qcow2", ""),
)


@pytest.fixture(scope="module")
def sparse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A raw disk that is nearly all holes."""
    path = tmp_path_factory.mktemp("sparse") / "disk.raw"
    generator = random.Random(3)
    with path.open("wb") as file:
        file.truncate(SIZE)
        for start, size in DATA:
            file.seek(start)
            file.write(generator.randbytes(size))
    return path


def check(disk: Disk, plain: bytes, start: int, end: int) -> int:
    """Outside of its stretches the disk is zeros; bytes inside them."""
    place, inside = start, 0
    for first, stop in stretches(disk, start, end):
        assert place <= first < stop <= min(end, disk.size)
        assert not any(plain[place:first].lstrip(b"\0")[:1])
        inside += stop - first
        place = stop
    assert not any(plain[place:end].lstrip(b"\0")[:1])
    return inside


@pytest.mark.parametrize(("format", "subformat"), FORMATS)
def test_what_is_outside_reads_as_zeros(sparse: Path, tmp_path: Path, format: str, subformat: str) -> None:
    image = make(format, subformat, sparse, tmp_path / f"disk.{format}")
    plain = sparse.read_bytes()
    generator = random.Random(4)
    with closing(open_disk(detect(str(image)))) as disk:
        assert STORED <= check(disk, plain, 0, disk.size) <= SIZE - 8 * MIB
        for _ in range(5):
            start, end = sorted(generator.randrange(SIZE + MIB) for _ in range(2))
            check(disk, plain, start, end)
        assert stored(disk, 16 * MIB, 6 * MIB) == 0


def test_holes_of_a_delta_are_its_parents(sparse: Path, tmp_path: Path) -> None:
    base = make("qcow2", "", sparse, tmp_path / "base.qcow2")
    delta = tmp_path / "delta.qcow2"
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base.name, delta], check=True
    )
    subprocess.run(["qemu-io", "-c", "write -q -P 7 16M 64k", str(delta)], check=True, capture_output=True)
    plain = bytearray(sparse.read_bytes())
    plain[16 * MIB : 16 * MIB + 65536] = b"\7" * 65536
    with closing(open_disk(detect(str(delta)))) as disk:
        assert check(disk, bytes(plain), 0, SIZE) < STORED + 16 * MIB


def test_a_disk_made_of_others(sparse: Path) -> None:
    with RawDisk(str(sparse)) as raw:
        segments = [
            Segment(10 * MIB, (Stripe(0, 23 * MIB),), 10 * MIB),
            Segment(4 * MIB, (Stripe(0, 8 * MIB), Stripe(0, 12 * MIB)), 64 << 10),
        ]
        disk = MappedDisk([raw], segments)
        found = [*stretches(disk, 0, disk.size)]
    assert found[0] == (MIB, 3 * MIB)
    assert found[1:] == [(10 * MIB, 14 * MIB)], "striped bytes count as stored"


def test_a_copy_is_sparse_and_exact(sparse: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    with RawDisk(str(sparse)) as disk:
        copy_range(disk, 2 * MIB, 30 * MIB, copy)
    plain = sparse.read_bytes()
    assert copy.read_bytes() == bytes(2 * MIB) + plain[2 * MIB : 32 * MIB] + bytes(SIZE - 32 * MIB)
    assert copy.stat().st_blocks * 512 <= STORED + 4 * (64 << 10)


class Unread(Disk):
    """A disk of 1 TiB, of which only one block is stored and may be read."""

    size = 1 << 40
    place = 777 << 30

    def pread(self, length: int, offset: int) -> bytes:
        assert (length, offset) == (4096, self.place)
        return b"\1" * length

    def stretches(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        yield self.place, self.place + 4096

    def close(self) -> None:
        """Nothing to release."""


def test_a_hole_is_never_read(tmp_path: Path) -> None:
    disk, copy = Unread(), tmp_path / "copy"
    assert stored(disk, 0, disk.size) == 4096
    copy_range(disk, 0, disk.size, copy)
    assert copy.stat().st_size == disk.size
    assert copy.stat().st_blocks * 512 <= 65536
