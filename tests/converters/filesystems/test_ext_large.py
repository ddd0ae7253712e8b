"""What is large in an ext file system takes time, and no more memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.converters.filesystems.ext_images import debugfs, make, opened
from tests.kernel import mounted, needs_root

ENTRIES = 1_000_000
MOST_RSS_MIB = 300
WALK = """
import sys
from converters.disks import RawFile, open_disk
from converters.filesystems.ext import ExtFilesystem
from converters.filesystems.memory import Memory
from converters.filesystems.walked import WalkedFilesystem

with ExtFilesystem(open_disk(RawFile(sys.argv[1]))) as ext:
    filesystem = WalkedFilesystem(ext, Memory().kept)
    previous, count = b"", 0
    for entry in filesystem.walk(b"crowd"):
        assert previous < entry.path
        previous, count = entry.path, count + 1
    assert filesystem.lookup(b"crowd/entry-0999999") is not None
    assert filesystem.lookup(b"crowd/entry-1000000") is None
# Not ru_maxrss: a process that was made by vfork(2) begins with its parent's there.
[peak] = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:")]
print(count, int(peak) >> 10)
"""


@pytest.mark.root
@pytest.mark.long
@needs_root
@pytest.mark.parametrize("features", ["^large_dir", "large_dir,inline_data"])
def test_a_directory_of_a_million_entries(tmp_path: Path, features: str) -> None:
    """An index of two levels; each entry once, in order, in flat memory."""
    image = make(tmp_path / "image", "-t", "ext4", "-O", features, "-N", str(ENTRIES + 1000), size=3 << 30)
    with mounted(image, "ext4", options="rw") as root:
        (root / "crowd").mkdir()
        folder = os.open(root / "crowd", os.O_RDONLY)
        try:
            for number in range(ENTRIES):
                os.mknod(f"entry-{number:07}", dir_fd=folder)
        finally:
            os.close(folder)
    done = subprocess.run([sys.executable, "-c", WALK, image], check=True, capture_output=True, text=True)
    count, rss = map(int, done.stdout.split())
    assert count == ENTRIES + 1
    assert rss < MOST_RSS_MIB


def test_a_directory_with_more_subdirectories_than_links_are_counted(tmp_path: Path) -> None:
    """``dir_nlink``: the kernel leaves the count at 1 then, which is no sign of damage."""
    folder = tmp_path / "tree"
    (folder / "a/b").mkdir(parents=True)
    image = make(tmp_path / "image", "-t", "ext4", folder=folder)
    debugfs(image, "set_inode_field a links_count 1")
    with opened(image) as filesystem:
        entry = filesystem.lookup(b"a")
        assert entry is not None
        assert entry.nlink == 1
        assert [found.path for found in filesystem.walk(b"a")] == [b"a", b"a/b"]
