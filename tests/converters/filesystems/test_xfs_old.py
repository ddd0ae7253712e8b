"""XFS of version 4, which newer kernels do not mount: filled in an appliance, compared with what went in."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from converters.filesystems.base import Entry, Kind
from deploy.demo import cache
from tests.converters.filesystems.ext_images import make as make_ext
from tests.converters.filesystems.xfs_images import SIZE, make, opened
from tests.kernel import kernel_entries, kernel_hashes, mounted, needs_root, reader_hashes
from tests.trees import fill

pytestmark = [pytest.mark.root, pytest.mark.slow, needs_root]

OLD = ("-m", "crc=0,finobt=0,reflink=0,rmapbt=0")
FEATURES = {
    "plain": OLD,
    "small": (*OLD, "-b", "size=512", "-i", "size=256,attr=1", "-n", "ftype=0,size=4096"),
}
_HERE = Path(__file__)
_SOURCE, _ARCHIVE = "source", "tree.tar"


def _make(folder: Path) -> None:
    """An ext4 with a tree that both can hold, and each XFS with the same tree."""
    source = make_ext(folder / _SOURCE, "-t", "ext4", "-O", "ea_inode", size=160 << 20)
    with mounted(source, "ext4", options="rw") as root:
        fill(root, large_inodes=False, many=1500, largest_attribute=20_000, largest_device=(511, 262_143))
        (root / "lost+found").rmdir()
        for deep in root.glob("00d*"):
            shutil.rmtree(deep)  # its paths are longer than tar takes
        tar = ("tar", "-C", str(root), "--format=posix", "--xattrs", "--xattrs-include=*", "--acls")
        subprocess.run(
            [*tar, "--numeric-owner", "--sort=name", "-cf", folder / _ARCHIVE, "."],
            check=True,
            stderr=subprocess.DEVNULL,  # sockets are told to be left out
        )
    commands = ["run"]
    disks: list[str] = []
    for index, name in enumerate(FEATURES):
        disks += ["--format=raw", "-a", str(make(folder / name, *FEATURES[name]))]
        commands += [
            f"mount /dev/sd{chr(ord('a') + index)} /",
            f"tar-in {folder / _ARCHIVE} / xattrs:true acls:true",
            "umount /",
        ]
    settings = {"LIBGUESTFS_BACKEND": "direct", "LIBGUESTFS_BACKEND_SETTINGS": "force_tcg"}
    subprocess.run(
        ["guestfish", *disks], input="\n".join(commands).encode(), env={**os.environ, **settings}, check=True
    )


@pytest.fixture(scope="module")
def folder() -> Path:
    key = cache.digest(_HERE, _HERE.parents[2] / "trees.py", _HERE.parent / "xfs_images.py", str(SIZE))
    return cache.cached("xfs-old", key, _make)


@pytest.mark.parametrize("name", FEATURES)
def test_equals_what_went_in(folder: Path, name: str) -> None:
    with mounted(folder / _SOURCE, "ext4") as root:
        expected, contents = kernel_entries(root), kernel_hashes(root)
    with opened(folder / name) as filesystem:
        assert not filesystem.needs_recovery
        entries = list(filesystem.walk())
        assert [_comparable(entry) for entry in entries] == [
            _comparable(entry) for entry in expected if entry.kind is not Kind.SOCKET
        ]
        assert reader_hashes(filesystem, entries) == contents


def _comparable(entry: Entry) -> Entry:
    """Without what another file system numbers otherwise; the root's time is of the unpacking."""
    nlink = 0 if entry.kind is Kind.DIRECTORY else entry.nlink
    return entry._replace(inode=0, nlink=nlink, mtime_ns=entry.mtime_ns if entry.path else 0)
