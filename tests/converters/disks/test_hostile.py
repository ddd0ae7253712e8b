"""Headers made to hurt: whatever a field says, an image opens or is refused, soon and in little memory."""

from __future__ import annotations

import random
import resource
import subprocess
import sys
import time
import uuid
from contextlib import closing
from pathlib import Path

import pytest

from converters.disks import ImageFile, PackedDisk, detect, open_disk
from converters.disks.base import FilePart
from converters.errors import ConvertError

from . import deltas
from .deltas import MIB, descriptor
from .images import make
from .streams import write_stream

EXTREMES = (0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
SECONDS = 20.0
HUGE = 2 << 40
MEMORY = 3 << 30
"""Bytes of address space: Python, libraries and what a hostile table may take."""


def _vhd(folder: Path) -> bytes:
    return deltas.vhd(8 * MIB, {4096: b"x" * 512}, ident=bytes(16))


def _vdi(folder: Path) -> bytes:
    ident = uuid.UUID(int=7)
    return deltas.vdi(8 * MIB, {1: b"x" * MIB}, created=ident, modified=ident)


def _vhdx(folder: Path) -> bytes:
    (folder / "base").write_bytes(bytes(8 * MIB))
    base = make("vhdx", "", folder / "base", folder / "base.vhdx")
    parent = deltas.vhdx_parent_id(base)
    return deltas.vhdx(8 * MIB, {4096: b"x" * 512}, parent=parent, name="base.vhdx")


def _stream(folder: Path) -> bytes:
    return bytes(write_stream(b"x" * MIB).data)


def _qemu(format: str, subformat: str, folder: Path) -> bytes:
    (folder / "raw").write_bytes(random.Random(1).randbytes(MIB))
    return make(format, subformat, folder / "raw", folder / "image").read_bytes()


IMAGES = {
    "vhd": (_vhd, "vpc", [0, 512]),
    "vdi": (_vdi, "vdi", [320]),
    "vhdx": (_vhdx, "vhdx", [(2 * MIB) + 32, (2 * MIB) + (64 << 10)]),
    "stream": (_stream, "vmdk", [0, -1536]),
    "sparse": (lambda folder: _qemu("vmdk", "monolithicSparse", folder), "vmdk", [0]),
    "qcow2": (lambda folder: _qemu("qcow2", "", folder), "qcow2", [0]),
}


def attempt(path: Path, driver: str) -> None:
    """Open and read a little at both ends."""
    try:
        with closing(open_disk(ImageFile(str(path), driver))) as disk:
            disk.pread(8192, 0)
            disk.pread(8192, disk.size - 8192)
    except ConvertError:
        return


def attack(name: str, folder: Path) -> None:
    """Every field of an image's headers at an extreme; checksums are made right where there are any."""
    build, driver, areas = IMAGES[name]
    whole = build(folder)
    path = folder / "disk"
    with path.open("wb") as file:
        file.write(whole)
        file.truncate(HUGE)  # sparse: most of what a header says is then inside
    generator = random.Random(1)
    for area in areas:
        start = area if area >= 0 else len(whole) + area
        for place in range(start, start + 128, 4):
            value = generator.choice(EXTREMES)
            field = value.to_bytes(8, "big" if name in ("vhd", "qcow2") else "little")
            changed = whole[:place] + field + whole[place + 8 :]
            if name == "vhd":
                changed = _resealed(changed)
            with path.open("r+b") as file:
                file.write(changed)
            began = time.monotonic()
            attempt(path, driver)
            assert time.monotonic() - began < SECONDS, f"byte {place}: {value:#x}"
    path.unlink()


def _resealed(image: bytes) -> bytes:
    footer, header = image[:512], image[512:1536]
    blank = footer[:64] + bytes(4) + footer[68:], header[:36] + bytes(4) + header[40:]
    return deltas._summed(blank[0], 64) + deltas._summed(blank[1], 36) + image[1536:]


@pytest.mark.parametrize("name", IMAGES)
def test_any_field_of_a_header(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.converters.disks.test_hostile", name, str(tmp_path)]
    subprocess.run(command, check=True)


def test_a_descriptor_of_very_many_lines(tmp_path: Path) -> None:
    path = tmp_path / "disk.vmdk"
    for text in (
        descriptor('RW 1 FLAT "flat" 0\n' * 100_000),
        descriptor("RW " + "9" * 100_000),
        descriptor("a=" + "b" * 900_000),
        descriptor('parentFileNameHint="' * 50_000),
        descriptor(" " * 500_000 + "RW"),
        descriptor("RW 1 FLAT " + '"' * 500_000),
    ):
        path.write_text(text)
        began = time.monotonic()
        with pytest.raises(ConvertError):
            open_disk(detect(str(path)))
        assert time.monotonic() - began < 5


def test_very_many_parts_of_one_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(MIB))
    part = FilePart(str(path), 0, 512)
    with closing(open_disk(PackedDisk((part,) * 50_000))) as disk:
        assert disk.pread(1024, disk.size - 1000) == bytes(1000)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    attack(sys.argv[1], Path(sys.argv[2]))
