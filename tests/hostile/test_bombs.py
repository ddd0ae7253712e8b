"""Small disks that unfold: each ends soon, in little memory, and the error names the setting that helps."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from converters.errors import FilesystemError, LimitError, UnsupportedError
from tests.converters.filesystems.ext_images import debugfs, make, patch
from tests.converters.filesystems.guest_disks import fill, root_files
from tests.converters.filesystems.xfs_images import make as make_xfs
from tests.converters.filesystems.xfs_old import OLD
from tests.hostile.watching import READING, Outcome, read
from tests.kernel import mounted, needs_root

PATIENCE = 30.0
LITTLE_MIB = 200.0
NAME = "a-name-found-once"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    files = root_files("", **{f"srv/{NAME}": "x", "srv/one/two": None, "var/log/lastlog": "x"})
    fill(folder, files)
    return folder


def checked(found: Outcome) -> Outcome:
    assert found.seconds < PATIENCE
    assert found.peak_mib < LITTLE_MIB
    return found


def test_a_file_of_nearly_16_tib(folder: Path, scratch: Path, tmp_path: Path) -> None:
    image = make(tmp_path / "image", "-t", "ext4", folder=folder)
    debugfs(image, f"set_inode_field /srv/{NAME} size {(16 << 40) - 4096}")
    found = checked(read(image, scratch))
    assert isinstance(found.error, UnsupportedError)
    assert f"/srv/{NAME} has 17592186040320 bytes, holes included" in found.error.message


def test_login_records_of_a_tebibyte(folder: Path, scratch: Path, tmp_path: Path) -> None:
    """Where a directory service gives out high user ids, this is an honest guest."""
    image = make(tmp_path / "image", "-t", "ext4", folder=folder)
    debugfs(image, f"set_inode_field /var/log/lastlog size {1_230_000_000_000}")
    found = checked(read(image, scratch))
    assert found.error is None
    assert found.members["var/log/lastlog"].size == 0


def test_many_files_of_a_tebibyte(folder: Path, scratch: Path, tmp_path: Path) -> None:
    for number in range(20):
        (folder / f"srv/{number}").write_text("x")
    image = make(tmp_path / "image", "-t", "ext4", folder=folder)
    debugfs(image, *(f"set_inode_field /srv/{number} size {1 << 40}" for number in range(20)))
    tree = checked(read(image, scratch, replace(READING, tree_bytes=256 << 20)))
    assert isinstance(tree.error, LimitError)
    assert "--reader-tree" in tree.error.hint
    hours = checked(read(image, scratch, replace(READING, total_seconds=0.3)))
    assert isinstance(hours.error, LimitError)
    assert "--reader-hours" in hours.error.hint


@pytest.mark.root
@needs_root
def test_attributes_that_share_their_blocks(folder: Path, scratch: Path, tmp_path: Path) -> None:
    """600 MB of them in a few megabytes of disk, ten of 60 kB on each of a thousand files."""
    image = make(tmp_path / "image", "-t", "ext4", "-O", "ea_inode", size=64 << 20, folder=folder)
    with mounted(image, "ext4", options="rw") as root:
        for number in range(1000):
            path = root / f"srv/{number}"
            path.touch()
            for attribute in range(10):
                os.setxattr(path, f"user.{attribute}", b"v" * 60_000)
    found = checked(read(image, scratch, replace(READING, tree_bytes=200 << 20)))
    assert isinstance(found.error, LimitError)
    assert "--reader-tree" in found.error.hint


@pytest.mark.root
@needs_root
def test_directories_without_end(folder: Path, scratch: Path, tmp_path: Path) -> None:
    image = make(tmp_path / "image", "-t", "ext4", size=32 << 20, folder=folder)
    with mounted(image, "ext4", options="rw") as root:
        at = os.open(root, os.O_RDONLY)
        for _ in range(300):
            os.mkdir("d" * 255, dir_fd=at)
            below = os.open("d" * 255, os.O_RDONLY, dir_fd=at)
            os.close(at)
            at = below
        os.close(at)
    found = checked(read(image, scratch))
    assert isinstance(found.error, FilesystemError)
    assert "a path is longer than 65536 bytes" in found.error.message


def test_a_directory_in_itself(folder: Path, scratch: Path, tmp_path: Path) -> None:
    image = make(tmp_path / "image", "-t", "ext4", folder=folder)
    debugfs(image, "ln /srv /srv/one/two/srv")
    found = checked(read(image, scratch))
    assert isinstance(found.error, FilesystemError)
    assert "is reached twice" in found.error.message


@pytest.mark.parametrize("type", ["ext2", "xfs"])
@pytest.mark.parametrize(
    "name", [b"../../etc/passwd\0", b"/etc/found-once\0\0", b"a-name\0found-once", b"..\0"]
)
def test_names_that_lead_out_of_an_image(
    folder: Path, scratch: Path, tmp_path: Path, type: str, name: bytes
) -> None:
    """File systems without checksums, so that the name is all that is wrong."""
    image = tmp_path / "image"
    match type:
        case "ext2":
            make(image, "-t", "ext2", folder=folder)
        case _:
            make_xfs(image, *OLD, "-p", str(_prototype(folder, tmp_path)))
    patch(image, _place(image), name)
    found = checked(read(image, scratch))
    assert isinstance(found.error, FilesystemError)
    assert "name" in found.error.message


def _place(image: Path) -> int:
    """Where the name is stored."""
    found = subprocess.run(["grep", "-obaF", NAME, image], check=True, capture_output=True).stdout
    return int(found.split(b":")[0])


def _prototype(folder: Path, tmp_path: Path) -> Path:
    """What mkfs.xfs(8) fills a file system from."""
    text = folder / "etc/os-release"
    path = tmp_path / "prototype"
    path.write_text(
        f"/none\n0 0\nd--755 0 0\netc d--755 0 0\nos-release ---644 0 0 {text}\n"
        f"$\nusr d--755 0 0\nbin d--755 0 0\ntrue ---755 0 0 {text}\n$\n$\n"
        f"srv d--755 0 0\n{NAME} ---644 0 0 {text}\n$\n$\n"
    )
    return path
