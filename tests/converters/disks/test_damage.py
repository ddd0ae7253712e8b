"""Damaged images of every format read as the disk, or are refused: no hang, no crash, no other content.

What no checksum covers reads as QEMU reads the same damaged file: there a changed bit is changed data.
"""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from converters.disks import ImageFile, open_disk
from converters.errors import ConvertError

from . import deltas
from .images import make
from .streams import write_stream

FORMATS = (
    ("vmdk", "monolithicSparse"),
    ("vmdk", "twoGbMaxExtentSparse"),
    ("vmdk", "twoGbMaxExtentFlat"),
    ("vmdk", "streamOptimized"),
    ("vmdk", "stream of a host"),
    ("vmdk", "vmfsSparse"),
    ("vmdk", "seSparse"),
    ("qcow2", ""),
    ("qcow2", "compressed"),
    ("vdi", ""),
    ("vpc", ""),
    ("vpc", "fixed"),
    ("vhdx", ""),
    ("parallels", ""),
)
NAMES = [f"{a} {b}".strip() for a, b in FORMATS]
FEW, MANY = 9, 1000
MOST = 12 << 20
"""Bytes of a disk that are looked at."""


@dataclass(frozen=True)
class Sample:
    """An image, the file of it that is damaged, and the disk."""

    path: Path
    part: Path
    format: str
    disk: bytes


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A disk of 3 MiB: noise, text, and holes."""
    generator = random.Random(21)
    blocks = [generator.randbytes(65536), bytes(65536), b"some text, over and over " * 2622]
    path = tmp_path_factory.mktemp("disk") / "raw"
    path.write_bytes(b"".join(generator.choice(blocks)[:65536].ljust(65536, b"x") for _ in range(48)))
    return path


@pytest.fixture(scope="module", params=FORMATS, ids=NAMES)
def sample(request: pytest.FixtureRequest, disk: Path, tmp_path_factory: pytest.TempPathFactory) -> Sample:
    format, kind = request.param
    folder = tmp_path_factory.mktemp("sample")
    path = folder / "disk"
    match kind:
        case "stream of a host":
            path.write_bytes(write_stream(disk.read_bytes()).data)
        case "vmfsSparse" | "seSparse":
            data = disk.read_bytes()
            changes = {place: data[place : place + 65536] for place in range(0, len(data), 65536)}
            stored = {place: part for place, part in changes.items() if part.strip(b"\0")}
            write = deltas.cowd if kind == "vmfsSparse" else deltas.se_sparse
            (folder / "extent").write_bytes(write(len(data), stored))
            line = f'RW {len(data) // 512} {kind.upper()} "extent"'
            path.write_text(deltas.descriptor(line).replace("custom", kind))
        case "compressed":
            subprocess.run(["qemu-img", "convert", "-c", "-O", format, str(disk), str(path)], check=True)
        case "fixed":
            options = "subformat=fixed,force_size=on"
            subprocess.run(
                ["qemu-img", "convert", "-O", format, "-o", options, str(disk), str(path)], check=True
            )
        case _:
            make(format, kind, disk, path)
    extents = sorted(set(folder.iterdir()) - {path})
    return Sample(path, extents[0] if extents else path, format, disk.read_bytes())


def cut(image: bytearray, generator: random.Random) -> None:
    """End it somewhere."""
    del image[generator.randrange(1, len(image)) :]


def blank(image: bytearray, generator: random.Random) -> None:
    """Zeros over a stretch of it."""
    start = _place(image, generator)
    length = min(generator.choice([1, 4, 64, 512, 4096, 65536]), len(image) - start)
    image[start : start + length] = bytes(length)


def flip(image: bytearray, generator: random.Random) -> None:
    """Some bits of it the other way round."""
    for _ in range(generator.choice([1, 1, 2, 8])):
        image[_place(image, generator)] ^= 1 << generator.randrange(8)


def _place(image: bytearray, generator: random.Random) -> int:
    """Anywhere; mostly where headers and tables are."""
    match generator.randrange(4):
        case 0:
            return generator.randrange(len(image))
        case 1:
            return generator.randrange(max(0, len(image) - 2048), len(image))
        case _:
            return generator.choice([n for n in range(min(len(image), 1 << 18)) if image[n]] or [0])


DAMAGES: tuple[Callable[[bytearray, random.Random], None], ...] = (cut, blank, flip)


def _read(sample: Sample) -> bytes | ConvertError:
    """The disk, of one that has become very large the start."""
    try:
        with closing(open_disk(ImageFile(str(sample.path), sample.format))) as disk:
            return disk.pread(min(disk.size, MOST), 0)
    except ConvertError as error:
        return error


def _read_by_qemu(sample: Sample, folder: Path) -> bytes:
    out = folder / "by-qemu"
    out.unlink(missing_ok=True)
    command = ["timeout", "20", "qemu-img", "dd", "-f", sample.format, "-O", "raw", "bs=1M"]
    command += [f"count={MOST >> 20}", f"if={sample.path}", f"of={out}"]
    done = subprocess.run(command, check=False, capture_output=True)
    return out.read_bytes() if done.returncode == 0 else b""


def _blank_where_left_out(found: bytes, by_qemu: bytes) -> bytes:
    """What QEMU reads of a VHD, with zeros where ``found`` has them: it does not look at a block's bitmap."""
    sectors = range(0, len(by_qemu), 512)
    return b"".join(
        bytes(512) if not any(found[place : place + 512]) else by_qemu[place : place + 512]
        for place in sectors
    )


def check(sample: Sample, seed: int, folder: Path) -> None:
    whole = sample.part.read_bytes()
    generator = random.Random(seed)
    damage = DAMAGES[seed % len(DAMAGES)]
    image = bytearray(whole)
    damage(image, generator)
    try:
        sample.part.write_bytes(image)
        found = _read(sample)
        if isinstance(found, ConvertError):
            assert str(sample.path.parent) in str(found)
            return
        if found == sample.disk:
            return
        assert damage is not cut, f"seed {seed}: other content of an image that was cut"
        by_qemu = _read_by_qemu(sample, folder)
        if sample.format == "vpc":
            by_qemu = _blank_where_left_out(found, by_qemu)
        assert found == by_qemu, f"seed {seed}: not what QEMU reads"
    finally:
        sample.part.write_bytes(whole)


def test_damaged_images(sample: Sample, tmp_path: Path) -> None:
    assert _read(sample) == sample.disk
    for seed in range(FEW):
        check(sample, seed, tmp_path)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_many_damaged_images(sample: Sample, tmp_path: Path) -> None:
    for seed in range(FEW, FEW + MANY):
        check(sample, seed, tmp_path)
