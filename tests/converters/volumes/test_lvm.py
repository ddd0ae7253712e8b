"""Logical volumes made by LVM itself in an appliance, read where they lie."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from converters.disks.base import RawFile
from converters.disks.mapped import MappedDisk
from converters.disks.raw import RawDisk
from converters.errors import DiskError
from converters.filesystems.ext import ExtFilesystem
from converters.filesystems.mounts import open_guest
from converters.volumes import Volume, read_volumes
from converters.volumes.lvm import Assembled, logical_volumes, text
from deploy.demo import cache
from tests.converters.filesystems.journals import NEW, busy_image
from tests.kernel import needs_root

MIB = 1 << 20
SIZE = 160 * MIB
PATTERNS = {"linear": b"linear", "striped": b"striped!", "other": b"other"}
"""What the file ``filled`` of each volume repeats."""
FILLED = 7_000_000
VOLUMES = (
    "lvcreate -y -n linear -L 12m vg-two /dev/sda1",
    "lvcreate -y -n other -L 16m vg-two /dev/sda1",
    "lvextend -L 28m vg-two/linear /dev/sda1",
    "lvcreate -y -n striped -i 2 -I 64k -L 32m vg-two",
    "lvcreate -y -n snap -s -L 8m vg-two/other",
    "lvcreate -y -n pair --type raid1 -m 1 -L 8m vg-two",
    "lvcreate -y -T -L 16m -V 32m -n thin vg-two/pool",
)


def _script() -> str:
    lines = [
        "run",
        "part-disk /dev/sda gpt",
        "pvcreate /dev/sda1",
        "pvcreate /dev/sdb",
        'vgcreate vg-two "/dev/sda1 /dev/sdb"',
    ]
    lines += [f'debug sh "lvm {command}"' for command in VOLUMES[:4]]
    for name, pattern in PATTERNS.items():
        device = f"/dev/vg-two/{name}"
        lines += [
            f"mkfs ext4 {device}",
            f"mount {device} /",
            f"fill-pattern {pattern.decode()} {FILLED} /filled",
            "umount /",
        ]
    lines += [f'debug sh "lvm {command}"' for command in VOLUMES[4:]]
    return "\n".join(lines)


def _make(folder: Path) -> None:
    disks = []
    for name in ("a", "b"):
        with open(folder / name, "wb") as file:
            file.truncate(SIZE)
        disks += ["--format=raw", "-a", str(folder / name)]
    settings = {"LIBGUESTFS_BACKEND": "direct", "LIBGUESTFS_BACKEND_SETTINGS": "force_tcg"}
    command = ["guestfish", *disks]
    subprocess.run(command, input=_script().encode(), env={**os.environ, **settings}, check=True)


@pytest.fixture(scope="module")
def made() -> Path:
    return cache.cached("lvm-volumes", cache.digest(_script()), _make)


@pytest.fixture
def disks(made: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Copies that a test may damage."""
    for name in ("a", "b"):
        subprocess.run(["cp", "--sparse=always", made / name, tmp_path / name], check=True)
    return tmp_path / "a", tmp_path / "b"


def assembled(paths: Sequence[Path]) -> tuple[list[RawDisk], Assembled]:
    opened = [RawDisk(str(path)) for path in paths]
    volumes: list[Volume] = []
    for index, disk in enumerate(opened):
        volumes += read_volumes(disk, index).volumes
    return opened, logical_volumes(opened, volumes)


@pytest.mark.slow
def test_each_volume_is_whole(made: Path) -> None:
    opened, found = assembled((made / "a", made / "b"))
    assert {volume.name for volume in found.volumes} == {
        *(f"/dev/vg-two/{name}" for name in PATTERNS),
        "/dev/vg-two/pair",
    }
    assert {*map(str, found.left)} == {
        "/dev/vg-two/snap: LVM snapshots and what is merged are not read in process",
        "/dev/vg-two/thin: volumes of type thin are not read in process",
    }
    assert not found.notes
    assert {volume.name: len(volume.segments) for volume in found.volumes}["/dev/vg-two/linear"] == 2
    for volume in found.volumes:
        if volume.name == "/dev/vg-two/pair":  # which holds nothing
            continue
        pattern = PATTERNS[volume.name.rpartition("/")[2]]
        with ExtFilesystem(MappedDisk(opened, volume.segments)) as filesystem:
            entry = filesystem.lookup(b"filled")
            assert entry is not None
            content = b"".join(filesystem.read(entry))
            assert content == (pattern * (FILLED // len(pattern) + 1))[:FILLED]
    for disk in opened:
        disk.close()


@dataclass(frozen=True)
class Reading:
    """Settings of an opening."""

    root: str
    engines: tuple[str, ...] = ("ext2fs", "uml")


@pytest.mark.slow
@pytest.mark.root
@needs_root
@pytest.mark.parametrize("name", ["linear", "other"])
def test_journal_on_a_volume_is_replayed(disks: tuple[Path, Path], tmp_path: Path, name: str) -> None:
    """In two pieces, and in one."""
    opened, found = assembled(disks)
    (volume,) = (volume for volume in found.volumes if volume.name == f"/dev/vg-two/{name}")
    image = tmp_path / "image"
    with open(image, "wb") as file:
        file.truncate(volume.size)
    content = busy_image(image, "ext4").read_bytes()
    position = 0
    for segment in volume.segments:
        (stripe,) = segment.stripes
        with open(disks[stripe.disk], "r+b") as file:
            file.seek(stripe.offset)
            file.write(content[position : position + segment.size])
        position += segment.size
    for disk in opened:
        disk.close()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with open_guest([RawFile(str(disk)) for disk in disks], scratch, Reading(volume.name)) as tree:
        (point,) = tree.mounts
        assert (point.device, point.engine, point.recovered) == (volume.name, "uml+ext2fs", True)
        entry = tree.lookup(b"etc/config")
        assert entry is not None
        assert b"".join(tree.read(entry)) == NEW
        assert tree.lookup(b"srv/last") is not None


@pytest.mark.slow
def test_volume_with_a_part_elsewhere_is_left_out(made: Path) -> None:
    opened, found = assembled((made / "a",))
    assert {volume.name for volume in found.volumes} == {
        "/dev/vg-two/linear",
        "/dev/vg-two/other",
        "/dev/vg-two/pair",
    }, "one leg of the pair is enough"
    assert "the volume group vg-two lacks its physical volume" in found.notes[0]
    assert "/dev/vg-two/striped is not whole" in found.notes[1]
    opened[0].close()


@pytest.mark.slow
def test_copy_of_a_disk_is_told(disks: tuple[Path, Path], tmp_path: Path) -> None:
    shutil.copyfile(disks[0], tmp_path / "copy")
    opened, found = assembled((*disks, tmp_path / "copy"))
    assert found.volumes == ()
    assert found.notes == ("the volume group vg-two is there twice: one disk is another's copy",)
    for disk in opened:
        disk.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("offset", "says"),
    [
        (512 + 40, ()),  # no longer a physical volume for anybody: its volumes are incomplete
        (4096 + 16, ("disk 1 partition 0: the header of LVM's metadata is damaged",)),
    ],
)
def test_damage_is_told(disks: tuple[Path, Path], offset: int, says: tuple[str, ...]) -> None:
    with open(disks[1], "r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 1]))
    opened, found = assembled(disks)
    assert {*says} <= {*found.notes}
    volumes = {"/dev/vg-two/linear", "/dev/vg-two/other", "/dev/vg-two/pair"}
    if says:  # its place is known, and the other disk has the metadata too
        volumes.add("/dev/vg-two/striped")
    assert {volume.name for volume in found.volumes} == volumes
    assert not found.is_complete
    for disk in opened:
        disk.close()


def test_text() -> None:
    parsed = text.parse(
        '# Generated\nvg-a {\n id = "x\\"y" # why\n n=-3 f = 1.5\n list = ["a", 1,]\nempty = []\n'
        'in { k = "}" }\n}\ncontents = "Text"'
    )
    assert parsed == {
        "vg-a": {"id": 'x"y', "n": -3, "f": 1.5, "list": ["a", 1], "empty": [], "in": {"k": "}"}},
        "contents": "Text",
    }


@pytest.mark.parametrize(
    "wrong", ["a {", "}", "a", "a =", "a = [1", "a = b", '"a" = 1', "a { b } ", "a = ]", "= 1"]
)
def test_text_that_is_none(wrong: str) -> None:
    with pytest.raises(DiskError, match=r"cannot be understood|end in the middle"):
        text.parse(wrong)
