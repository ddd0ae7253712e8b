"""Every entry, attribute and byte of an ext file system, compared with the kernel's mount of it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from converters.filesystems.base import Kind
from tests.converters.filesystems.ext_images import QUIET, make, opened
from tests.kernel import kernel_entries, kernel_hashes, mounted, needs_root, reader_hashes
from tests.trees import fill

pytestmark = [pytest.mark.root, needs_root]

SIZE = 160 << 20
OLD_INODES = ("-I", "128")
FEATURES = {
    "ext2": ("ext2", "-t", "ext2"),
    "ext2-1k-old-inodes": ("ext2", "-t", "ext2", "-b", "1024", *OLD_INODES),
    "ext2-first-revision": ("ext2", "-t", "ext2", "-r", "0", *OLD_INODES),
    "ext3-1k": ("ext3", "-t", "ext3", "-b", "1024"),
    "ext4": ("ext4", "-t", "ext4"),
    "ext4-1k-64bit-seed": ("ext4", "-t", "ext4", "-b", "1024", "-O", "64bit,metadata_csum_seed"),
    "ext4-32bit-group-checksums": ("ext4", "-t", "ext4", "-O", "^64bit,^metadata_csum,uninit_bg"),
    "ext4-block-maps": ("ext4", "-t", "ext4", "-O", "^64bit,^extent", "-b", "2048"),
    "ext4-inline-data": ("ext4", "-t", "ext4", "-O", "inline_data"),
    "ext4-inline-data-1k-inodes": ("ext4", "-t", "ext4", "-O", "inline_data", "-I", "1024"),
    "ext4-bigalloc": ("ext4", "-t", "ext4", "-O", "bigalloc", "-C", "16384"),
    "ext4-attribute-inodes": ("ext4", "-t", "ext4", "-O", "ea_inode,inline_data"),
    "ext4-others": (
        "ext4",
        "-t",
        "ext4",
        "-O",
        "orphan_file,encrypt,verity,large_dir,mmp,meta_bg,^resize_inode,sparse_super2,stable_inodes",
    ),
    "ext4-of-servers": (
        "ext4",
        "-t",
        "ext4",
        "-O",
        "fast_commit,ea_inode,dir_nlink,huge_file,extra_isize,flex_bg,large_file",
        "-I",
        "512",
    ),
}
"""Type as the reader says it, and options of mke2fs(8)."""


@pytest.mark.parametrize("name", FEATURES)
def test_equals_kernel(name: str, tmp_path: Path) -> None:
    kind, *options = FEATURES[name]
    image = make(tmp_path / "image", *options, size=SIZE)
    with mounted(image, "ext4", options="rw") as root:
        fill(
            root,
            large_inodes=OLD_INODES[1] not in options,
            many=12_000 if name == "ext3-1k" else 400,
            largest_attribute=60_000 if any("ea_inode" in option for option in options) else 600,
        )
    if name == "ext4-of-servers":
        subprocess.run(["tune2fs", "-O", "quota,project", image], check=True, env=QUIET, capture_output=True)
    with mounted(image, "ext4") as root:
        expected, contents = kernel_entries(root), kernel_hashes(root)
    with opened(image) as filesystem:
        entries = list(filesystem.walk())
        assert filesystem.type == kind
        assert entries == expected
        assert reader_hashes(filesystem, entries) == contents
        for entry in expected[:: len(expected) // 50]:
            assert filesystem.lookup(entry.path) == entry


def test_equals_kernel_in_a_partition(tmp_path: Path) -> None:
    small = make(tmp_path / "small", "-t", "ext4", size=SIZE)
    with mounted(small, "ext4", options="rw") as root:
        fill(root, many=100)
    start = 1_048_576 + 512
    disk = tmp_path / "disk"
    with open(disk, "wb") as file:
        file.seek(start)
        file.write(small.read_bytes())
        file.write(b"\xff" * 4096)
    with mounted(disk, "ext4", offset=start, size=SIZE) as root:
        expected, contents = kernel_entries(root), kernel_hashes(root)
    with opened(disk, start, SIZE) as filesystem:
        entries = list(filesystem.walk())
        assert entries == expected
        assert reader_hashes(filesystem, entries) == contents


def test_runs_hold_the_bytes_and_leave_out_holes(tmp_path: Path) -> None:
    image = make(tmp_path / "image", "-t", "ext4", "-O", "inline_data", size=SIZE)
    with mounted(image, "ext4", options="rw") as root:
        fill(root, many=10)
    data = image.read_bytes()
    with opened(image) as filesystem:
        files = [entry for entry in filesystem.walk() if entry.kind is Kind.FILE]
        inline = 0
        for entry in files:
            runs = filesystem.runs(entry)
            if runs is None:
                inline += 1
                continue
            content = bytearray(entry.size)
            for logical, offset, length in runs:
                assert logical + length <= entry.size
                content[logical : logical + length] = data[offset : offset + length]
            assert content == b"".join(filesystem.read(entry)), entry.path
        sparse = filesystem.lookup(b"sizes/sparse")
        assert sparse is not None
        stored = sum(run.length for run in filesystem.runs(sparse) or ())
    assert inline > 200
    assert 15_000 <= stored < 40_000
