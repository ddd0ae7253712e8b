"""A guest with logical volumes, and what needs libguestfs: btrfs, and journals without user-mode Linux."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from converters.disks.base import RawFile
from converters.errors import UnsupportedError
from converters.filesystems.mounts import open_guest
from converters.filesystems.tree import GuestTree
from converters.filesystems.uml import machine
from converters.guest.facts import StepDown
from tests.converters.filesystems.journals import FILES, NEW, busy_image, make_filesystem
from tests.kernel import kernel_entries, kernel_hashes, mounted, needs_root, reader_hashes

pytestmark = [pytest.mark.root, pytest.mark.slow, needs_root]

MIB = 1 << 20
ROOT_START = 2 * MIB
"""The partition, then the volume group's first extent behind a MiB of metadata."""

FSTAB = r"""/dev/mapper/vg--a-root--1 / ext4 defaults 0 1
/dev/vg-a/data /data ext4 defaults 0 2
/dev/sdb1 /var ext4 defaults 0 2
/dev/sdb2 /srv xfs defaults 0 2
LABEL=homes /home btrfs subvol=@home 0 0
/dev/mapper/vg--a-gone /gone ext4 defaults 0 2
"""

MAKE = f"""
run
part-init /dev/sda gpt
part-add /dev/sda primary 2048 -2048
pvcreate /dev/sda1
vgcreate vg-a /dev/sda1
lvcreate root-1 vg-a 32
lvcreate data vg-a 16
mkfs ext4 /dev/vg-a/root-1
mkfs ext4 /dev/vg-a/data
mount /dev/vg-a/data /
write /payload data
umount /
mount /dev/vg-a/root-1 /
mkdir /etc
mkdir-p /usr/bin
mkdir /data
mkdir /var
mkdir /srv
mkdir /home
write /etc/os-release "ID=test\\n"
write /etc/fstab "{FSTAB.replace(chr(10), chr(92) + "n")}"
umount /
"""


def _logical_volumes(path: Path) -> Path:
    """A disk with a volume group, made once by an appliance: kernels without device mapper cannot."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "orchestrate"
    cached = base / f"lvm-{hashlib.sha256(MAKE.encode()).hexdigest()[:16]}.img"
    if not cached.exists():
        base.mkdir(parents=True, exist_ok=True)
        made = cached.with_suffix(f".{os.getpid()}")
        with open(made, "wb") as file:
            file.truncate(80 * MIB)
        settings = {"LIBGUESTFS_BACKEND": "direct", "LIBGUESTFS_BACKEND_SETTINGS": "force_tcg"}
        command = ["guestfish", "--format=raw", "-a", str(made)]
        subprocess.run(command, input=MAKE.encode(), env={**os.environ, **settings}, check=True)
        made.rename(cached)
    shutil.copyfile(cached, path)
    return path


@dataclass(frozen=True)
class Reading:
    """Settings of an opening."""

    engines: tuple[str, ...] = ("ext2fs", "xfs", "uml", "guestfs")
    root: str = ""


@dataclass(frozen=True)
class Guest:
    """A guest read through libguestfs."""

    disks: tuple[Path, Path]
    tree: GuestTree
    log: tuple[str, ...]


class _Messages(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def _busy_disk(path: Path) -> Path:
    """ext4 and XFS, each copied while it was written to, and btrfs with a subvolume for /home."""
    with open(path, "wb") as file:
        file.truncate((1 + 64 + 320 + 128 + 1) * MIB)
    table = b"label: gpt\nsize=64MiB\nsize=320MiB\nsize=128MiB\n"
    subprocess.run(["sfdisk", "-q", path], input=table, check=True)
    make_filesystem(path, "btrfs", offset=385 * MIB, size=128 * MIB)
    with mounted(path, "btrfs", offset=385 * MIB, size=128 * MIB, options="rw") as root:
        subprocess.run(["btrfs", "filesystem", "label", root, "homes"], check=True)
        subprocess.run(
            ["btrfs", "subvolume", "create", root / "@home"], check=True, stdout=subprocess.DEVNULL
        )
        (root / "@home/file").write_text("home")
    one = busy_image(path, "ext4", offset=MIB, size=64 * MIB)
    one.rename(path)
    return busy_image(path, "xfs", offset=65 * MIB, size=320 * MIB)


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """The guest, opened where user-mode Linux is not installed."""
    folder = tmp_path_factory.mktemp("fallback")
    disks = (_logical_volumes(folder / "lvm.img"), _busy_disk(folder / "busy.img"))
    handler = _Messages()
    logger = logging.getLogger("converters.filesystems")
    logger.addHandler(handler)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "KERNEL", "linux.uml-of-nobody")
        tree = open_guest([RawFile(str(disk)) for disk in disks], folder, Reading())
    logger.removeHandler(handler)
    with tree:
        yield Guest(disks, tree, tuple(handler.messages))


def test_volumes_are_mounted_by_every_name(guest: Guest) -> None:
    points = [(point.path, point.device, point.type, point.engine) for point in guest.tree.mounts]
    assert points == [
        ("/", "/dev/vg-a/root-1", "ext4", "ext2fs"),
        ("/data", "/dev/vg-a/data", "ext4", "ext2fs"),
        ("/var", "disk 1 partition 1", "ext4", "guestfs"),
        ("/srv", "disk 1 partition 2", "xfs", "guestfs"),
        ("/home", "disk 1 partition 3", "btrfs", "guestfs"),
    ]
    assert [point.recovered for point in guest.tree.mounts] == [False, False, True, True, False]
    assert guest.tree.notes == ("/gone is not read: /dev/mapper/vg--a-gone is on none of the disks.",)


def test_each_step_down_is_told_and_logged(guest: Guest) -> None:
    missing = "the program `linux.uml-of-nobody` is not installed (install it or add it to PATH)"
    other = "it is switched off"
    assert {*guest.tree.step_downs} == {
        StepDown("disk 1 partition 1", "uml", "guestfs", missing),
        StepDown("disk 1 partition 2", "uml", "guestfs", missing),
        StepDown("disk 1 partition 3", "btrfs", "guestfs", other),
        StepDown("disk 1 partition 3", "uml-reader", "guestfs", missing),
    }
    assert f"disk 1 partition 3: guestfs instead of btrfs: {other}" in guest.log


def test_tree_is_the_kernels(guest: Guest, tmp_path: Path) -> None:
    """The root as it lies in its extents; journals as the kernel replays them in a copy."""
    entries = list(guest.tree.walk())
    hashes = reader_hashes(guest.tree, entries)
    with mounted(guest.disks[0], "ext4", offset=ROOT_START, size=32 * MIB) as root:
        below = (b"data/", b"var/", b"srv/", b"home/")
        names = [entry.path for entry in entries if not entry.path.startswith(below)]
        assert names == [entry.path for entry in kernel_entries(root)]
    assert [path for path in hashes if path.startswith(b"home/")] == [b"home/file"]
    assert hashes[b"data/payload"] == hashlib.sha256(b"data").hexdigest()
    assert hashes[b"var/etc/config"] == hashlib.sha256(NEW).hexdigest()
    copy = tmp_path / "copy"
    subprocess.run(["cp", "--sparse=always", guest.disks[1], copy], check=True)
    for place, fstype, start, mib in ((b"var", "ext4", 1, 64), (b"srv", "xfs", 65, 320)):
        with mounted(copy, fstype, offset=start * MIB, size=mib * MIB, options="rw,noatime") as root:
            expected = {place + b"/" + path: digest for path, digest in kernel_hashes(root).items()}
        assert {path: digest for path, digest in hashes.items() if path.startswith(place)} == expected
        assert len(expected) == FILES + 2


def test_logical_volumes_need_no_libguestfs(guest: Guest, tmp_path: Path) -> None:
    with open_guest([RawFile(str(guest.disks[0]))], tmp_path, Reading(("ext2fs",))) as tree:
        assert [point.device for point in tree.mounts] == ["/dev/vg-a/root-1", "/dev/vg-a/data"]
        entry = tree.lookup(b"data/payload")
        assert entry is not None
        assert b"".join(tree.read(entry)) == b"data"


def test_damaged_group_without_libguestfs(guest: Guest, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copyfile(guest.disks[0], damaged)
    with open(damaged, "r+b") as file:
        file.seek(MIB + 4096 + 16)  # in the header of the metadata
        file.write(b"\0\0")
    with pytest.raises(
        UnsupportedError, match=r"disk 0 partition 1 holds LVM2_member\. .*allow the engine guestfs"
    ):
        open_guest([RawFile(str(damaged))], tmp_path, Reading(("ext2fs", "uml")))
