"""What a volume holds is told as blkid tells it, for file systems that their own tools made."""

from __future__ import annotations

import lzma
import os
import shutil
import struct
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from converters.disks.raw import RawDisk
from converters.volumes import Content, probe

MIB = 1 << 20

MADE = {
    "ext2": (4, "mkfs.ext2 -q -F -L label {}"),
    "ext2 with a blank label": (4, "mkfs.ext2 -q -F -L a\\ b\\  {}"),
    "ext3": (16, "mkfs.ext3 -q -F -L label {}"),
    "ext4": (16, "mkfs.ext4 -q -F -L label {}"),
    "ext4 without a journal": (16, "mkfs.ext4 -q -F -O ^has_journal {}"),
    "ext4 of 1 KiB blocks": (4, "mkfs.ext4 -q -F -b 1024 {}"),
    "xfs": (320, "mkfs.xfs -q -f -L label {}"),
    "xfs without checksums": (320, "mkfs.xfs -q -f -m crc=0 -L twelve-chars {}"),
    "btrfs": (120, "mkfs.btrfs -q -f -L label {}"),
    "fat12": (2, "mkfs.vfat -F 12 -n LABEL {}"),
    "fat16": (16, "mkfs.vfat -F 16 -n LABEL {}"),
    "fat32": (64, "mkfs.vfat -F 32 -n LABEL {}"),
    "fat without a label": (16, "mkfs.vfat {}"),
    "swap": (2, "mkswap -q -L label {}"),
    "swap of large pages": (2, "mkswap -q -p 65536 -L label {}"),
    "ntfs": (8, "mkntfs -q -F -Q -L label {}"),
    "f2fs": (64, "mkfs.f2fs -q -f -l label {}"),
    "squashfs": (0, "mksquashfs /etc/apt {} -quiet -no-progress"),
    "luks1": (4, "cryptsetup luksFormat -q --type luks1 --pbkdf-force-iterations 1000 {} /etc/hostname"),
    "luks2": (
        20,
        "cryptsetup luksFormat -q --type luks2 --label label --pbkdf pbkdf2 --pbkdf-force-iterations 1000"
        " {} /etc/hostname",
    ),
}


def by_blkid(path: Path, *options: str) -> Content:
    """The same from libblkid."""
    command = ["blkid", "-p", "-o", "export", *options, str(path)]
    lines = subprocess.run(command, check=False, capture_output=True, text=True).stdout.splitlines()
    values = dict(line.split("=", 1) for line in lines if "=" in line)
    return Content(
        values.get("TYPE", ""), values.get("UUID", ""), values.get("LABEL", "").replace("\\ ", " ")
    )


def by_us(path: Path, start: int = 0) -> Content:
    with closing(RawDisk(str(path))) as disk:
        return probe(disk, start, disk.size - start)


def make(name: str, path: Path) -> None:
    size, command = MADE[name]
    program = command.split()[0]
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    if size:
        path.touch()
        os.truncate(path, size * MIB)
    subprocess.run(command.format(path), shell=True, check=True, capture_output=True)  # noqa: S602  # our own words


@pytest.mark.parametrize("name", MADE)
def test_as_blkid_tells_it(tmp_path: Path, name: str) -> None:
    path = tmp_path / "volume"
    make(name, path)
    content = by_us(path)
    assert content == by_blkid(path)
    assert content.type
    if "label" in MADE[name][1].lower() and "without a label" not in name:
        assert content.label


def test_inside_a_larger_disk(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    make("ext4", path)
    content = by_us(path)
    data = path.read_bytes()
    path.write_bytes(b"\x55" * 3 * MIB + data + b"\x55" * MIB)
    assert by_us(path, 3 * MIB) == content


@pytest.mark.parametrize("damaged", ["first", "none"])
def test_a_luks2_volume_by_its_second_header(tmp_path: Path, damaged: str) -> None:
    path = tmp_path / "volume"
    make("luks2", path)
    expected = by_blkid(path)
    with path.open("r+b") as file:
        file.write(bytes(4096) if damaged == "first" else b"LUKS")
    assert by_us(path) == expected


def test_a_second_luks_header_that_a_new_file_system_left_in_place(tmp_path: Path) -> None:
    path = tmp_path / "volume"
    make("ext4", path)
    ext4 = by_us(path)
    make("luks2", tmp_path / "luks")
    with (tmp_path / "luks").open("rb") as luks, path.open("r+b") as file:
        luks.seek(4 * MIB - 4096)
        header = bytearray(4096)
        header[:6], header[256:264] = b"SKUL\xba\xbe", (4 * MIB).to_bytes(8, "big")
        file.seek(4 * MIB)
        file.write(header)
    assert by_us(path) == ext4


# Formats whose tools a test machine need not have: their signatures, which libblkid must take for real.


def _reiserfs(data: bytearray) -> None:
    data[65536:65560] = struct.pack("<6I", 4096, 3000, 8211, 18, 0, 8192)
    data[65536 + 44 : 65536 + 46] = struct.pack("<H", 4096)
    data[65536 + 52 : 65536 + 61] = b"ReIsEr2Fs"
    data[65536 + 84 : 65536 + 100] = bytes(range(16))
    data[65536 + 100 : 65536 + 105] = b"label"


def _jfs(data: bytearray) -> None:
    data[32768:32772] = b"JFS1"
    data[32772:32800] = struct.pack("<IQIhhIhh", 1, 32000, 4096, 12, 3, 512, 9, 0)
    data[32768 + 136 : 32768 + 152] = bytes(range(16))
    data[32768 + 152 : 32768 + 157] = b"label"


def _iso9660(data: bytearray) -> None:
    data[32768:32775] = b"\x01CD001\x01"
    data[32768 + 40 : 32768 + 72] = b"LABEL".ljust(32)
    data[32768 + 813 : 32768 + 830] = b"2024020304050600\0"
    data[32768 + 830 : 32768 + 847] = b"2025020304050607\0"
    data[34816:34823] = b"\xffCD001\x01"


def _suspended(data: bytearray) -> None:
    data[1024:1028] = struct.pack("<I", 1)
    data[1028:1032] = struct.pack("<I", 1000)
    data[1036:1052] = bytes(range(16))
    data[4086:4096] = b"S1SUSPEND\0"


def _ext4_dev_journal(data: bytearray) -> None:
    data[1024 + 56 : 1024 + 58] = b"\x53\xef"
    data[1024 + 96 : 1024 + 100] = struct.pack("<I", 8)
    data[1024 + 104 : 1024 + 120] = bytes(range(16))


@pytest.mark.parametrize(
    "fill",
    [_reiserfs, _jfs, _iso9660, _suspended, _ext4_dev_journal],
    ids=lambda fill: fill.__name__.strip("_"),
)
def test_signatures_of_other_formats(tmp_path: Path, fill: Callable[[bytearray], None]) -> None:
    data = bytearray(17 * MIB)
    fill(data)
    path = tmp_path / "volume"
    path.write_bytes(data)
    content = by_us(path)
    assert content == by_blkid(path)
    assert content.type and content.uuid


def _loop(path: Path) -> str:
    command = ["losetup", "--find", "--show", str(path)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.root
def test_a_physical_volume_of_lvm(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("a loop device needs root")
    if shutil.which("pvcreate") is None:
        pytest.skip("pvcreate is not installed")
    path = tmp_path / "volume"
    path.touch()
    os.truncate(path, 16 * MIB)
    device = _loop(path)
    try:
        devices = f'devices {{ scan="/dev" filter=["a|{device}|","r|.*|"] use_devicesfile=0 }}'
        subprocess.run(
            ["pvcreate", "-q", "-ff", "-y", "--config", devices, device], check=True, capture_output=True
        )
        os.sync()
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)
    content = by_us(path)
    assert content == by_blkid(path)
    assert content.type == "LVM2_member"


@pytest.mark.parametrize("version", ["0.90", "1.0", "1.1", "1.2"])
def test_members_of_a_linux_raid(tmp_path: Path, version: str) -> None:
    """Superblocks written by hand after md_p.h of Linux, which libblkid must take for real."""
    size = 8 * MIB + 512 * 100
    data = bytearray(size)
    if version == "0.90":
        words = [0xA92B4EFC, 0, 90, 0, 0, 0x11223344, *([0] * 7), 0x55667788, 0x99AABBCC, 0xDDEEFF00]
        offset = (size & -65536) - 65536
        data[offset : offset + 64] = struct.pack("<16I", *words)
    else:
        offset = {"1.0": ((size // 512 - 16) & -8) * 512, "1.1": 0, "1.2": 4096}[version]
        data[offset : offset + 8] = struct.pack("<II", 0xA92B4EFC, 1)
        data[offset + 16 : offset + 32] = bytes(range(16))
        data[offset + 32 : offset + 39] = b"host:md"
        data[offset + 144 : offset + 152] = struct.pack("<Q", offset // 512)
    path = tmp_path / "volume"
    path.write_bytes(data)
    content = by_us(path)
    assert content == by_blkid(path)
    assert content.type == "linux_raid_member"


UNSUPPORTED = {
    "adaptec-raid": "a hardware RAID's metadata, which a virtual disk does not have",
    "ddf-raid": "a hardware RAID's metadata, which a virtual disk does not have",
}
KNOWN = (
    "adaptec-raid",
    "bcache-B",
    "ddf-raid",
    "ext2",
    "ext3",
    "ext4",
    "fat",
    "jbd",
    "mdraid",
    "mdraid-1",
    "swap0",
    "vmfs",
    "vmfs_volume",
    "xfs",
    "xfs-log",
)


@pytest.mark.parametrize("name", KNOWN)
def test_known_signatures(cases: Path, tmp_path: Path, name: str) -> None:
    if name in UNSUPPORTED:
        pytest.skip(UNSUPPORTED[name])
    folder = cases / "BLK-01/tests"
    path = tmp_path / "volume"
    path.write_bytes(lzma.decompress((folder / f"ts/blkid/images-fs/{name}.img.xz").read_bytes()))
    lines = (folder / f"expected/blkid/low-probe-{name}").read_text().splitlines()
    expected = dict(line.split("=", 1) for line in lines)
    keys = ("ID_FS_TYPE", "ID_FS_UUID", "ID_FS_LABEL")
    assert by_us(path) == Content(*(expected.get(key, "") for key in keys))


@pytest.mark.parametrize(
    ("name", "type", "uuid"),
    [
        ("compatimage", "crypto_LUKS", "28632274-8c8a-493f-835b-da802e1c576b"),
        ("img_fs_xfs", "xfs", "8c36e967-d747-4ab3-9de7-3b24a2acd1b9"),
        ("img_fs_ext4", "ext4", "7c32ee63-b83c-4689-9ce2-7036ec846cb5"),
        ("luks2_valid_hdr", "crypto_LUKS", "12a3a118-7039-4575-a649-3f559d8d87ee"),
    ],
)
def test_known_encrypted_volumes(cases: Path, tmp_path: Path, name: str, type: str, uuid: str) -> None:
    path = tmp_path / "volume"
    path.write_bytes(lzma.decompress((cases / f"LUKS-01/tests/{name}.img.xz").read_bytes()))
    assert by_us(path) == Content(type, uuid)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(0, 2 * MIB - 1), st.integers(0, 255)), min_size=1, max_size=40))
def test_damage_ends_in_an_answer(tmp_path: Path, changes: list[tuple[int, int]]) -> None:
    path = tmp_path / "volume"
    if not (tmp_path / "good").exists():
        make("fat12", tmp_path / "good")
    data = bytearray((tmp_path / "good").read_bytes())
    for position, value in changes:
        data[position % 1024 if value % 2 else position] = value
    path.write_bytes(data)
    assert by_us(path).type in ("vfat", "")


@pytest.mark.parametrize("size", [1, 511, 512, 1024, 4096, 65536])
def test_ranges_too_small_for_anything(tmp_path: Path, size: int) -> None:
    path = tmp_path / "volume"
    path.write_bytes(b"\0" * size)
    assert by_us(path) == Content("")
