"""Differencing images read as their parent with the changes, and as nothing when the parent is another."""

from __future__ import annotations

import random
import shutil
import subprocess
import uuid
from contextlib import closing
from pathlib import Path

import pytest

from converters.disks import ImageFile, detect, open_disk
from converters.errors import DiskError, UnsupportedError

from . import deltas
from .deltas import MIB, changed
from .images import make, opened

A, B, C = (uuid.UUID(int=number) for number in (1, 2, 3))


@pytest.fixture(scope="module")
def changes(raw_image: Path) -> deltas.Changes:
    """Whole sectors all over the disk, alone and in runs, across blocks, and its last one."""
    generator = random.Random(9)
    size = raw_image.stat().st_size
    places = [512 * generator.randrange(size // 512 - 40) for _ in range(40)]
    found = {place: generator.randbytes(512 * generator.choice([1, 2, 9, 33])) for place in places}
    found[2 * MIB - 1024] = generator.randbytes(4096)
    found[size - 512] = generator.randbytes(512)
    return found


@pytest.fixture(scope="module")
def vhd_base(raw_image: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make("vpc", "", raw_image, tmp_path_factory.mktemp("vhd") / "base.vhd")


def _vhd_id(path: Path) -> bytes:
    return path.read_bytes()[-512:][68:84]


@pytest.mark.parametrize("name", [".\\base.vhd", "..\\elsewhere\\base.vhd", "C:\\VMs\\base.vhd"])
def test_a_differencing_vhd(
    raw_image: Path, vhd_base: Path, tmp_path: Path, changes: deltas.Changes, name: str
) -> None:
    shutil.copy(vhd_base, tmp_path)
    size = raw_image.stat().st_size
    image = deltas.vhd(size, changes, ident=B.bytes, parent=_vhd_id(vhd_base), name=name, noise=b"noise")
    (tmp_path / "disk.vhd").write_bytes(image)
    assert opened(tmp_path / "disk.vhd") == changed(raw_image.read_bytes(), changes)


def test_a_chain_of_vhds(raw_image: Path, vhd_base: Path, tmp_path: Path, changes: deltas.Changes) -> None:
    shutil.copy(vhd_base, tmp_path)
    size = raw_image.stat().st_size
    first = deltas.vhd(size, changes, ident=B.bytes, parent=_vhd_id(vhd_base), name="base.vhd", block=MIB)
    second = deltas.vhd(size, {0: b"2" * 1024}, ident=C.bytes, parent=B.bytes, name="1.avhd")
    (tmp_path / "1.avhd").write_bytes(first)
    (tmp_path / "2.avhd").write_bytes(second)
    expected = changed(changed(raw_image.read_bytes(), changes), {0: b"2" * 1024})
    assert opened(tmp_path / "2.avhd") == expected


def test_sectors_that_a_vhds_bitmap_leaves_out_are_zeros(tmp_path: Path) -> None:
    path = tmp_path / "disk.vhd"
    path.write_bytes(deltas.vhd(4 * MIB, {1024: b"x" * 512}, ident=A.bytes, noise=b"noise"))
    assert opened(path) == changed(bytes(4 * MIB), {1024: b"x" * 512})


def test_a_vhd_over_another_parent_or_none(
    raw_image: Path, vhd_base: Path, tmp_path: Path, changes: deltas.Changes
) -> None:
    path = tmp_path / "disk.vhd"
    path.write_bytes(deltas.vhd(24 * MIB, changes, ident=B.bytes, parent=A.bytes, name="base.vhd"))
    with pytest.raises(DiskError, match=r"parent 'base\.vhd', which is absent"):
        open_disk(detect(str(path)))
    shutil.copy(vhd_base, tmp_path)
    with pytest.raises(DiskError, match="is not the parent"):
        open_disk(detect(str(path)))
    path.write_bytes(deltas.vhd(24 * MIB, changes, ident=A.bytes, parent=A.bytes, name="disk.vhd"))
    with pytest.raises(DiskError, match="a loop"):
        open_disk(detect(str(path)))


@pytest.mark.parametrize(
    ("creator", "by_geometry"),
    [
        (b"vpc ", True),
        (b"vs  ", True),
        (b"qemu", True),
        (b"win ", False),
        (b"d2v\0", False),
        (b"vbox", False),
    ],
)
def test_the_size_of_a_vhd_by_its_creator(tmp_path: Path, creator: bytes, by_geometry: bool) -> None:
    path = tmp_path / "disk.vhd"
    data = random.Random(3).randbytes(2 * MIB)
    cylinders, heads, sectors = 60, 4, 17
    geometry = cylinders << 16 | heads << 8 | sectors
    path.write_bytes(data + deltas.vhd_footer(len(data), 2, A.bytes, creator, geometry))
    size = cylinders * heads * sectors * 512 if by_geometry else len(data)
    assert opened(path) == data[:size]
    if creator not in (b"vbox", b"d2v\0"):  # QEMU does not know that these mean the size
        command = ["qemu-img", "convert", "-f", "vpc", "-O", "raw", str(path), str(tmp_path / "raw")]
        subprocess.run(command, check=True)
        assert (tmp_path / "raw").stat().st_size == size


@pytest.mark.parametrize(("block", "extra"), [(MIB, 0), (MIB, 512), (256 << 10, 0)])
def test_vdi_blocks_of_any_size(raw_image: Path, tmp_path: Path, block: int, extra: int) -> None:
    data = raw_image.read_bytes()[:-1024]
    blocks = {n: data[n * block : (n + 1) * block] for n in range(-(-len(data) // block))}
    stored = {n: content if content.strip(b"\0") else None for n, content in blocks.items()}
    path = tmp_path / "disk.vdi"
    path.write_bytes(deltas.vdi(len(data), stored, created=A, modified=B, block=block, extra=extra))
    assert opened(path) == data


def test_a_differencing_vdi(raw_image: Path, tmp_path: Path) -> None:
    folder = tmp_path / "machine" / "Snapshots"
    folder.mkdir(parents=True)
    data = raw_image.read_bytes()
    blocks = {n: data[n * MIB : (n + 1) * MIB] for n in range(24)}
    base, leaf = folder.parent / "base.vdi", folder / "{leaf}.vdi"
    base.write_bytes(deltas.vdi(len(data), dict(blocks), created=A, modified=B))
    (folder.parent / "another.vdi").write_bytes(b"no VDI")
    new = random.Random(4).randbytes(MIB)
    leaf.write_bytes(deltas.vdi(len(data), {3: new, 5: None}, created=C, modified=C, parent=(A, B)))
    source = ImageFile(str(leaf), "vdi", within=str(tmp_path))
    expected = changed(data, {3 * MIB: new, 5 * MIB: bytes(MIB)})
    with closing(open_disk(source)) as disk:
        assert disk.pread(disk.size, 0) == expected
    with pytest.raises(DiskError, match=f"UUID {A}"):  # the base is outside the image's own folder
        open_disk(detect(str(leaf)))
    base.write_bytes(deltas.vdi(len(data), dict(blocks), created=A, modified=C))
    with pytest.raises(DiskError, match="changed since"):
        open_disk(source)
    leaf.write_bytes(deltas.vdi(len(data), {}, created=A, modified=B, parent=(A, B)))
    base.unlink()
    with pytest.raises(DiskError, match="a loop"):
        open_disk(detect(str(leaf)))


@pytest.fixture(scope="module")
def vhdx_base(raw_image: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make("vhdx", "", raw_image, tmp_path_factory.mktemp("vhdx") / "base.vhdx")


def test_a_differencing_vhdx(
    raw_image: Path, vhdx_base: Path, tmp_path: Path, changes: deltas.Changes
) -> None:
    shutil.copy(vhdx_base, tmp_path)
    data = raw_image.read_bytes()
    full = {4 * MIB: random.Random(6).randbytes(2 * MIB)}
    every = {place: content for place, content in changes.items() if not 4 * MIB - 20_000 < place < 6 * MIB}
    parent = deltas.vhdx_parent_id(vhdx_base)
    image = deltas.vhdx(len(data), every | full, parent=parent, name=".\\base.vhdx", whole=(2,))
    path = tmp_path / "disk.avhdx"
    path.write_bytes(image)
    assert opened(path) == changed(data, every | full)
    path.write_bytes(deltas.vhdx(len(data), every, parent=A, name=".\\base.vhdx"))
    with pytest.raises(DiskError, match="another state of its parent"):
        open_disk(detect(str(path)))
    path.write_bytes(deltas.vhdx(len(data), every, parent=parent, name=".\\absent.vhdx"))
    with pytest.raises(DiskError, match=r"absent\.vhdx', which is absent"):
        open_disk(detect(str(path)))


def test_a_differencing_vhdx_whose_log_waits(vhdx_base: Path, tmp_path: Path) -> None:
    shutil.copy(vhdx_base, tmp_path)
    parent = deltas.vhdx_parent_id(vhdx_base)
    image = bytearray(deltas.vhdx(24 * MIB, {}, parent=parent, name="base.vhdx"))
    for place in (64 << 10, 128 << 10):
        image[place + 48] = 1
        sealed = deltas._sealed(bytes(image[place : place + 4096]))
        image[place : place + 4096] = sealed
    path = tmp_path / "disk.avhdx"
    path.write_bytes(image)
    with pytest.raises(UnsupportedError, match="log must be replayed"):
        open_disk(detect(str(path)))
