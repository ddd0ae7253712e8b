"""Every entry, attribute and byte of an XFS of version 5, compared with the kernel's mount of it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from converters.filesystems.base import Entry
from tests.converters.filesystems.xfs_images import make, opened
from tests.kernel import kernel_entries, kernel_hashes, mounted, needs_root, reader_hashes
from tests.trees import fill

pytestmark = [pytest.mark.root, needs_root]

OLD_TIMES = {"v5-plain"}
FEATURES = {
    "v5": (),
    "v5-1k-blocks-nrext64": ("-b", "size=1024", "-i", "nrext64=1"),
    "v5-plain": ("-m", "bigtime=0,reflink=0,rmapbt=0,finobt=0,inobtcount=0", "-i", "sparse=0"),
    "v5-large-inodes-and-directories": ("-i", "size=2048", "-n", "size=65536"),
}


def shown(entries: Iterable[Entry]) -> list[Entry]:
    """What the kernel tells, without XFS's own form of an access control list, which it shows beside it."""
    return [
        entry._replace(xattrs=tuple(one for one in entry.xattrs if not one[0].startswith(b"trusted.SGI_ACL")))
        for entry in entries
    ]


@pytest.mark.parametrize("name", FEATURES)
def test_equals_kernel(name: str, tmp_path: Path) -> None:
    image = make(tmp_path / "image", *FEATURES[name])
    with mounted(image, "xfs", options="rw") as root:
        fill(
            root,
            large_inodes=name not in OLD_TIMES,
            many=12_000 if name == "v5" else 1500,
            largest_attribute=60_000,
            largest_device=(511, 262_143),
        )
        fragment(root)
    with mounted(image, "xfs", options="ro,norecovery") as root:
        expected, contents = shown(kernel_entries(root)), kernel_hashes(root)
    with opened(image) as filesystem:
        assert not filesystem.needs_recovery
        entries = list(filesystem.walk())
        assert entries == expected
        assert reader_hashes(filesystem, entries) == contents
        for entry in expected[:: len(expected) // 50]:
            assert filesystem.lookup(entry.path) == entry


def fragment(root: Path) -> None:
    """Files with more extents than an inode holds, one with reserved blocks that were never written."""
    for name, step, count in (("some", 2, 30), ("many", 2, 3000)):
        with open(root / name, "wb") as file:
            for i in range(count):
                file.seek(i * step * 4096)
                file.write(i.to_bytes(4, "big") * 256)
    with open(root / "reserved", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, 1 << 20)
        file.seek(100_000)
        file.write(b"written")
