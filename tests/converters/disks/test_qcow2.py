"""qcow2 in its variants, and VHDX and Parallels: what QEMU reads, and what of it is missing."""

from __future__ import annotations

import json
import os
import random
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from converters.disks import detect, open_disk
from converters.disks.references import OpenFiles, image_at
from converters.disks.vhdx_header import VhdxHeader, read_header
from converters.errors import DiskError, UnsupportedError

from .images import make, opened


def convert(source: Path, target: Path, *options: str) -> Path:
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", *options, str(source), str(target)], check=True)
    return target


VARIANTS = {
    "version 2": ("-o", "compat=0.10"),
    "compressed": ("-c",),
    "zstd": ("-c", "-o", "compression_type=zstd"),
    "subclusters": ("-o", "extended_l2=on,cluster_size=128k"),
    "compressed subclusters": ("-c", "-o", "extended_l2=on,cluster_size=64k"),
    "clusters of 512": ("-o", "cluster_size=512"),
    "clusters of 2 MiB": ("-o", "cluster_size=2M"),
    "preallocated": ("-o", "preallocation=metadata"),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants(raw_image: Path, tmp_path: Path, variant: str) -> None:
    short = tmp_path / "raw"
    short.write_bytes(raw_image.read_bytes()[: (5 << 20) + 1536])
    path = convert(short, tmp_path / "disk.qcow2", *VARIANTS[variant])
    assert opened(path) == short.read_bytes()
    size = path.stat().st_size
    for cut in (size // 3, size - 4096):
        if variant != "preallocated":  # whose clusters at the end are not written yet
            path.write_bytes(path.read_bytes()[:cut])
            with pytest.raises(DiskError, match="incomplete"):
                open_disk(detect(str(path)))


def test_an_encrypted_image_says_so(tmp_path: Path) -> None:
    path = tmp_path / "disk.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(path), "1M"], check=True)
    image = bytearray(path.read_bytes())
    image[32:36] = (2).to_bytes(4, "big")  # LUKS
    path.write_bytes(image)
    with pytest.raises(UnsupportedError, match="encrypted by QEMU"):
        open_disk(detect(str(path)))


def test_an_image_that_qemu_marked_as_damaged(tmp_path: Path) -> None:
    path = tmp_path / "disk.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(path), "1M"], check=True)
    image = bytearray(path.read_bytes())
    image[79] |= 2
    path.write_bytes(image)
    with pytest.raises(DiskError, match="marked it"):
        open_disk(detect(str(path)))


def test_a_chain_and_its_loop(raw_image: Path, tmp_path: Path) -> None:
    convert(raw_image, tmp_path / "base")
    for name, below in (("middle", "base"), ("leaf", "middle")):
        command = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", below, name]
        subprocess.run(command, check=True, cwd=tmp_path)
    leaf = tmp_path / "leaf"
    subprocess.run(["qemu-io", "-c", "write -q -P 0x41 70000 5000", str(leaf)], check=True)
    expected = bytearray(raw_image.read_bytes())
    expected[70000:75000] = b"\x41" * 5000
    assert opened(leaf) == bytes(expected)
    command = ["qemu-img", "rebase", "-u", "-F", "qcow2", "-b", "leaf", "middle"]
    subprocess.run(command, check=True, cwd=tmp_path)
    with pytest.raises(DiskError, match="a loop"):
        open_disk(detect(str(leaf)))


def test_a_backing_file_of_another_format_than_it_is_said_to_be(raw_image: Path, tmp_path: Path) -> None:
    make("vdi", "", raw_image, tmp_path / "base")
    command = ["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-F", "vmdk", "-b", "base", "leaf", "24M"]
    subprocess.run(command, check=True, cwd=tmp_path)
    with pytest.raises(DiskError, match="is vmdk, and it is vdi"):
        open_disk(detect(str(tmp_path / "leaf")))
    subprocess.run([*command[:7], "vdi", *command[8:]], check=True, cwd=tmp_path)
    with pytest.raises(UnsupportedError, match="make one image of both"):
        open_disk(detect(str(tmp_path / "leaf")))


@pytest.mark.parametrize("format", ["vdi", "vpc", "vhdx", "parallels"])
def test_a_file_that_was_copied_in_part(raw_image: Path, tmp_path: Path, format: str) -> None:
    path = make(format, "", raw_image, tmp_path / "disk")
    image = path.read_bytes()
    for cut in (len(image) // 3, len(image) - 100_000):
        path.write_bytes(image[:cut])
        with pytest.raises(DiskError):
            open_disk(detect(str(path)))


# The log of a VHDX.


def header_of(path: Path) -> VhdxHeader:
    with OpenFiles() as files:
        return read_header(image_at(str(path), "", files))


@pytest.fixture
def unclosed(raw_image: Path, tmp_path: Path) -> Path:
    """A VHDX whose last writes are in its log alone: QEMU ended before it could put them in their place."""
    raw = tmp_path / "raw"
    raw.write_bytes(raw_image.read_bytes()[: 8 << 20])
    os.truncate(raw, 64 << 20)
    path = make("vhdx", "", raw, tmp_path / "disk.vhdx")
    start = header_of(path).bat_offset // 512
    failing = [
        {"event": "none", "iotype": "write", "sector": sector, "errno": 5, "immediately": True}
        for sector in range(start, start + 8)
    ]
    file = {"driver": "file", "filename": str(path)}
    node = {"driver": "vhdx", "file": {"driver": "blkdebug", "inject-error": failing, "image": file}}
    command = ["qemu-io", "-c", "write -P 0x41 40M 3M", "-c", "abort", "json:" + json.dumps(node)]
    subprocess.run(command, check=False, capture_output=True)
    assert header_of(path).dirty
    return path


def test_the_log_of_a_vhdx_is_replayed_beside_it(unclosed: Path, tmp_path: Path) -> None:
    before = unclosed.read_bytes()
    found = opened(unclosed)
    assert unclosed.read_bytes() == before
    subprocess.run(["qemu-img", "check", "-q", "-r", "all", str(unclosed)], check=True)
    raw = tmp_path / "replayed"
    subprocess.run(["qemu-img", "convert", "-O", "raw", str(unclosed), str(raw)], check=True)
    assert found == raw.read_bytes()
    assert found[40 << 20 : 43 << 20] == b"A" * (3 << 20)


def test_a_very_large_disk(tmp_path: Path) -> None:
    for format, size in (("qcow2", "60T"), ("vhdx", "60T"), ("vmdk", "2T")):
        path = tmp_path / format
        subprocess.run(["qemu-img", "create", "-q", "-f", format, str(path), size], check=True)
        subprocess.run(["qemu-io", "-f", format, "-c", "write -q -P 65 1T 64k", str(path)], check=True)
        with closing(open_disk(detect(str(path)))) as disk:
            assert disk.pread(70_000, 1 << 40) == b"A" * 65536 + bytes(70_000 - 65536)
            offset = random.Random(1).randrange(disk.size - 4096)
            assert disk.pread(4096, offset) == bytes(4096)
