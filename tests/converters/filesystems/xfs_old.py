"""Images of XFS of version 4, filled in an appliance with a tree that an ext4 beside them holds too."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from deploy.demo import cache
from tests.converters.filesystems.ext_images import make as make_ext
from tests.converters.filesystems.xfs_images import SIZE, make
from tests.kernel import mounted
from tests.trees import fill

OLD = ("-m", "crc=0,finobt=0,reflink=0,rmapbt=0")
FEATURES = {
    "plain": OLD,
    "small": (*OLD, "-b", "size=512", "-i", "size=256,attr=1", "-n", "ftype=0,size=4096"),
}
SOURCE = "source"
"""The ext4."""
_ARCHIVE = "tree.tar"
_HERE = Path(__file__)


def old_images() -> Path:
    """The folder of the images, by the names of ``FEATURES``, and of ``SOURCE``; made once, by root."""
    key = cache.digest(_HERE, _HERE.parents[2] / "trees.py", _HERE.parent / "xfs_images.py", str(SIZE))
    return cache.cached("xfs-old", key, _make)


def _make(folder: Path) -> None:
    """An ext4 with a tree that both can hold, and each XFS with the same tree."""
    source = make_ext(folder / SOURCE, "-t", "ext4", "-O", "ea_inode", size=160 << 20)
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
