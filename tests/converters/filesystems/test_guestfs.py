"""The libguestfs engine against the kernel's own view of the same disks; one appliance serves all tests."""

from __future__ import annotations

import gzip
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from converters.disks.base import RawFile
from converters.disks.raw import RawDisk
from converters.errors import FilesystemError
from converters.filesystems.base import Kind
from converters.filesystems.guestfs import Appliance
from converters.filesystems.guestfs_reader import GuestfsFilesystem
from converters.volumes.base import Content, Volume
from tests.converters.filesystems.journals import FILES, busy_image, make_filesystem
from tests.kernel import kernel_entries, kernel_hashes, mounted, needs_root, reader_hashes

pytestmark = [pytest.mark.root, needs_root]

MIB = 1 << 20
START = MIB
CORRUPT = Path(__file__).parents[4] / "shared/cases/EXT-02/tests/j_corrupt_journal_block/image.gz"


@dataclass(frozen=True)
class Guest:
    """Disks as the appliance sees them, and the files behind them."""

    appliance: Appliance
    files: tuple[Path, ...]


def _partitioned(path: Path, size: int) -> Path:
    with open(path, "wb") as file:
        file.truncate(size + 2 * MIB)
    subprocess.run(["sgdisk", f"--new=1:2048:+{size >> 10}K", path], check=True, capture_output=True)
    return path


def _fill(root: Path) -> None:
    """One of everything that a reader can get wrong."""
    raw = os.fsencode(root)
    (root / "etc").mkdir(mode=0o750)
    for name in (b"caf\xe9", b"line\nbreak", "naïve".encode()):
        with open(raw + b"/etc/" + name, "wb") as file:
            file.write(name * 1000)
    os.setxattr(raw + b"/etc/caf\xe9", "user.note", b"\0\xff")
    capability = bytes.fromhex("0100000202040000000000000000000000000000")
    (root / "ping").write_bytes(b"\x7fELF")
    os.setxattr(root / "ping", "security.capability", capability)
    os.setxattr(root / "ping", "trusted.other", b"")
    (root / "ping").chmod(0o4755)
    os.utime(root / "ping", ns=(1, 1_700_000_000_123_456_789))
    os.link(root / "ping", root / "etc/ping")
    os.chown(root / "etc/ping", 70000, 4_000_000_000)
    with open(root / "sparse", "wb") as file:
        file.seek(5 * MIB)
        file.write(b"end")
    (root / "link").symlink_to("etc/nothing")
    (root / "far").symlink_to(os.fsdecode(b"/etc/caf\xe9"))
    os.mkfifo(root / "fifo")
    os.mknod(root / "disk", 0o60600, os.makedev(259, 1_000_000))
    os.mknod(root / "tty", 0o20620, os.makedev(4, 64))
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(root / "socket"))


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """Disk 0: ext4 with one of everything; 1: busy ext4; 2: XFS with a log to replay; 3: btrfs; 4: a case."""
    folder = tmp_path_factory.mktemp("guest")
    files = [_partitioned(folder / "rich.img", 64 * MIB)]
    make_filesystem(files[0], "ext4", offset=START, size=64 * MIB)
    with mounted(files[0], "ext4", offset=START, size=64 * MIB, options="rw") as root:
        _fill(root)
    for name, size in (("ext4", 64 * MIB), ("xfs", 320 * MIB)):
        files.append(busy_image(_partitioned(folder / f"{name}.img", size), name, offset=START, size=size))
    files.append(folder / "btrfs.img")
    with open(files[3], "wb") as file:
        file.truncate(256 * MIB)
    make_filesystem(files[3], "btrfs")
    with mounted(files[3], "btrfs", options="rw") as root:
        subprocess.run(["btrfs", "subvolume", "create", root / "@"], check=True, capture_output=True)
        (root / "@/inside").write_bytes(b"subvolume")
        os.link(root / "@/inside", root / "@/again")
        (root / "outside").write_bytes(b"top")
        os.link(root / "outside", root / "twice")
    if CORRUPT.exists():
        files.append(folder / "corrupt.img")
        files[4].write_bytes(gzip.decompress(CORRUPT.read_bytes()))
    with ExitStack() as stack:
        disks = [(RawFile(str(path)), stack.enter_context(RawDisk(str(path)))) for path in files]
        appliance = stack.enter_context(closing(Appliance(disks, folder)))
        yield Guest(appliance, tuple(files))


def _volume(disk: int, size: int, number: int = 1) -> Volume:
    return Volume(disk, START if number else 0, size, number, Content(""))


def test_tree_is_the_kernels(guest: Guest) -> None:
    """Names that are not UTF-8, attributes, capabilities, devices, links, times, holes: all as lstat says."""
    fs = GuestfsFilesystem(guest.appliance, guest.appliance.device(_volume(0, 64 * MIB)))
    entries = list(fs.walk())
    with mounted(guest.files[0], "ext4", offset=START, size=64 * MIB) as root:
        assert entries == kernel_entries(root)
        assert reader_hashes(fs, entries) == kernel_hashes(root)
    assert fs.type == "ext4"
    assert {entry.kind for entry in entries} == {*Kind}
    for entry in entries:
        assert fs.lookup(entry.path) == entry
    assert [entry for entry in entries if entry.path.startswith(b"etc")] == list(fs.walk(b"etc"))


def test_lookup_follows_no_link(guest: Guest) -> None:
    fs = GuestfsFilesystem(guest.appliance, guest.appliance.device(_volume(0, 64 * MIB)))
    link = fs.lookup(b"far")
    assert link is not None and link.target == b"/etc/caf\xe9"
    assert fs.lookup(b"far/passwd") is None
    assert fs.lookup(b"nothing/here") is None
    assert fs.lookup(b"ping/below") is None
    assert list(fs.walk(b"nothing")) == []


@pytest.mark.parametrize(("disk", "type"), [(1, "ext4"), (2, "xfs")])
def test_dirty_file_system_is_read_after_replay(guest: Guest, disk: int, type: str) -> None:
    image = guest.files[disk]
    size = image.stat().st_size - 2 * MIB
    before = image.read_bytes()
    fs = GuestfsFilesystem(guest.appliance, guest.appliance.device(_volume(disk, size)))
    entries = list(fs.walk())
    assert fs.type == type
    assert sum(entry.path.startswith(b"srv/") for entry in entries) == FILES + 1
    assert image.read_bytes() == before
    replayed = image.with_suffix(".replayed")
    replayed.write_bytes(before)
    with mounted(replayed, type, offset=START, size=size, options="rw,noatime") as root:
        assert entries == kernel_entries(root)
        assert reader_hashes(fs, entries) == kernel_hashes(root)
    replayed.unlink()


def test_subvolumes_of_btrfs_keep_their_inodes_apart(guest: Guest) -> None:
    fs = GuestfsFilesystem(guest.appliance, guest.appliance.device(_volume(3, 256 * MIB, number=0)))
    links: dict[int, set[bytes]] = {}
    for entry in fs.walk():
        if entry.kind is Kind.FILE:
            links.setdefault(entry.inode, set()).add(entry.path)
    assert sorted(links.values(), key=sorted) == [{b"@/again", b"@/inside"}, {b"outside", b"twice"}]


def test_subvolume_is_mounted_by_name(guest: Guest) -> None:
    device = guest.appliance.device(_volume(3, 256 * MIB, number=0))
    fs = GuestfsFilesystem(guest.appliance, device, "subvol=@")
    assert [entry.path for entry in fs.walk()] == [b"", b"again", b"inside"]
    assert "btrfsvol:/dev/sdd/@" in [device.name for device in guest.appliance.devices()]


@pytest.mark.skipif(not CORRUPT.exists(), reason="the folder shared/cases is not beside the checkout")
def test_journal_that_the_kernel_refuses(guest: Guest) -> None:
    """Replayed up to its last good commit, and told."""
    fs = GuestfsFilesystem(guest.appliance, guest.appliance.device(_volume(4, 2 * MIB, number=0)))
    digest = "3d932916213c7244c0d2a9a03d94635c1faa8cc17ad8ba273bab3afc5c19221e"
    assert reader_hashes(fs, fs.walk()) == {b"a": digest}
    (note,) = guest.appliance.notes
    assert note.startswith("the kernel refused /dev/sde (") and note.endswith("); mounted after e2fsck")


def test_partition_that_is_not_there(guest: Guest) -> None:
    with pytest.raises(FilesystemError, match="no partition at byte 512 of disk 0"):
        guest.appliance.device(Volume(0, 512, MIB, 1, Content("")))


def test_device_that_does_not_mount(guest: Guest) -> None:
    with pytest.raises(FilesystemError, match="cannot mount /dev/sda"):
        GuestfsFilesystem(guest.appliance, "/dev/sda")
