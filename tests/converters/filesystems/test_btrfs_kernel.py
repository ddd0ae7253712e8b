"""Every entry, attribute and byte of a btrfs, compared with the kernel's mount of it."""

from __future__ import annotations

import os
import random
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from converters.errors import FilesystemError
from converters.filesystems.base import Entry
from tests.converters.filesystems.btrfs_images import make, mounted_pool, opened, subvolume
from tests.kernel import kernel_entries, kernel_hashes, mounted, needs_root, reader_hashes
from tests.trees import fill

pytestmark = [pytest.mark.root, needs_root]

OWN = (1 << 64) - 1
"""The part of an inode's number that the kernel tells; what is above says which subvolume it is in."""


@dataclass(frozen=True)
class Made:
    """How a file system is made, and mounted to be filled."""

    mkfs: tuple[str, ...] = ()
    mount: str = "rw"
    devices: int = 1
    small: bool = True
    """Whether only what the features touch is written, not one of everything."""


FEATURES = {
    "everything": Made(small=False),
    "old": Made(("-O", "^no-holes", "-R", "^free-space-tree", "-n", "4k"), "rw,nodatacow,max_inline=0"),
    "large-nodes-xxhash-zlib": Made(("-n", "64k", "--csum", "xxhash"), "rw,compress-force=zlib"),
    "sha256-lzo": Made(("--csum", "sha256"), "rw,compress-force=lzo"),
    "blake2-zstd": Made(("--csum", "blake2"), "rw,compress-force=zstd:3"),
    "mixed-raid1": Made(("--mixed", "-n", "4k", "-d", "raid1", "-m", "raid1"), devices=2),
    "raid0-raid1c3": Made(("-d", "raid0", "-m", "raid1c3"), devices=3),
    "raid10-raid1c4": Made(("-d", "raid10", "-m", "raid1c4"), "rw,compress=zstd", devices=4),
}


@pytest.mark.parametrize("name", FEATURES)
def test_equals_kernel(name: str, tmp_path: Path) -> None:
    made = FEATURES[name]
    first, *further = images = [tmp_path / f"image-{number}" for number in range(made.devices)]
    make(first, *made.mkfs, further=further)
    with mounted_pool(images, options=made.mount) as root:
        if not made.small:
            fill(root, many=1500, largest_attribute=8000)
            os.setxattr(root / "sizes/4096", "btrfs.compression", b"zlib")
        contents(root)
    with mounted_pool(images) as root:
        expected, hashes = kernel_entries(root), kernel_hashes(root)
    with opened(images[-1], *images[:-1]) as filesystem:
        entries = list(filesystem.walk())
        assert entries == expected
        assert reader_hashes(filesystem, entries) == hashes
        for entry in expected[:: max(1, len(expected) // 50)]:
            assert filesystem.lookup(entry.path) == entry


def contents(root: Path) -> None:
    """Files of every kind of extent, and inodes with more names than one item holds."""
    generator = random.Random(7)
    words = b" ".join(b"%x" % generator.randrange(5000) for _ in range(150_000))
    for size in (1, 100, 1900, 2049, 4095, 4097, 131_072, 131_073, 600_000):
        (root / f"text-{size}").write_bytes(words[:size])
        (root / f"random-{size}").write_bytes(generator.randbytes(size))
    (root / "zeros").write_bytes(bytes(500_000))
    with open(root / "holes", "wb") as file:
        for place in (8192, 300_000, 5_000_000):
            file.seek(place)
            file.write(words[:20_000])
        file.truncate(6_000_001)
    with open(root / "reserved", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, 1 << 20)
        file.seek(100_000)
        file.write(b"written")
    shared = root / "shared"
    subprocess.run(["cp", "--reflink=always", root / "text-600000", shared], check=True)
    os.sync()
    with open(shared, "r+b") as file:
        for place in range(10_000, 500_000, 50_000):
            file.seek(place)
            file.write(generator.randbytes(5000))
    with open(root / "shrunk", "wb") as file:
        file.write(words[:300_000])
        os.fsync(file.fileno())
        file.truncate(123_457)
    many = root / "many-names"
    many.write_bytes(b"one file")
    (root / "links-of-one").mkdir()
    for number in range(400):
        os.link(many, root / "links-of-one" / f"{number:0200d}")
    for number in range(30):
        os.setxattr(many, f"user.{number}", b"v" * 100)


def lay_out(image: Path) -> None:
    """SUSE's: the root is a snapshot that is the default, and directories are subvolumes of their own."""
    make(image)
    with mounted(image, "btrfs", options="rw") as top:
        subvolume("create", top / "@")
        (top / "@/etc").mkdir()
        (top / "@/etc/fstab").write_text("first")
        subvolume("create", top / "@/home")
        (top / "@/home/file").write_text("in a subvolume")
        os.link(top / "@/home/file", top / "@/home/again")
        subvolume("create", top / "@/home/inner")
        (top / "@/home/inner/deep").write_text("deep")
        os.chown(top / "@", 5, 6)
        subvolume("create", top / "@/.snapshots")
        subvolume("snapshot", top / "@", top / "@/.snapshots/one")
        (top / "@/.snapshots/one/etc/fstab").write_text("second")
        subvolume("set-default", top / "@/.snapshots/one")
        subvolume("create", top / "gone")
        subvolume("delete", top / "gone")


@pytest.mark.parametrize(
    "options",
    [
        "",
        "subvolid=5",
        "subvolid=0",
        "subvol=/",
        "subvol=@",
        "subvol=/@/home/inner",
        "subvolid=257,subvol=/@/home",
        "subvol=@/.snapshots/one",
    ],
)
def test_subvolumes_are_shown_as_mounts_show_them(tree: Path, options: str) -> None:
    with mounted(tree, "btrfs", options=f"ro,{options}" if options else "ro") as root:
        expected, hashes = kernel_entries(root), kernel_hashes(root)
    with opened(tree, options=options) as filesystem:
        entries = list(filesystem.walk())
        assert [shown(entry) for entry in entries] == [shown(entry) for entry in expected]
        assert reader_hashes(filesystem, entries) == hashes
        files = [entry for entry in entries if entry.nlink == 1]
        assert len({entry.inode for entry in files}) == len(files)


def shown(entry: Entry) -> Entry:
    """An entry with what the kernel tells: one that is elsewhere is made up at the time of the look."""
    if entry.inode >> 128 or entry.inode == 2:
        return entry._replace(inode=2, mtime_ns=0)
    return entry._replace(inode=entry.inode & OWN)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    image = tmp_path_factory.mktemp("subvolumes") / "image"
    lay_out(image)
    return image


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("subvol=@/nothing", "no subvolume @/nothing"),
        ("subvol=@/etc", "@/etc is no subvolume"),
        ("subvolid=9999", "no subvolume 9999"),
        ("subvol=@/.snapshots/one/home", "only a snapshot's empty directory"),
    ],
)
def test_what_is_no_subvolume(tree: Path, options: str, says: str) -> None:
    with pytest.raises(subprocess.CalledProcessError), mounted(tree, "btrfs", options=f"ro,{options}"):
        pass
    with pytest.raises(FilesystemError, match=says), opened(tree, options=options):
        pass
