"""btrfs copied while it was written to: the replay of its log compared with the kernel's."""

from __future__ import annotations

import random
import subprocess
import time
from pathlib import Path

import pytest

from converters.filesystems.base import Entry, Kind
from converters.filesystems.btrfs import BtrfsFilesystem
from tests.converters.filesystems.btrfs_images import make, opened, stored, subvolume
from tests.converters.filesystems.btrfs_work import Work
from tests.converters.filesystems.journals import FILES, busy_image
from tests.kernel import kernel_entries, kernel_hashes, mounted, needs_root, reader_hashes

pytestmark = [pytest.mark.root, needs_root]

SIZE = 256 << 20
MKFS = ((), ("-O", "^no-holes"), ("-n", "4k"), ("--csum", "xxhash"))
MOUNT = ("compress=zstd", "nodatacow", "noatime", "max_inline=0")
OWN = (1 << 64) - 1


def work(image: Path, seed: int) -> Path:
    """A copy of ``image`` that is taken while the file system in it is at work."""
    chance = random.Random(seed)
    make(image, *chance.choice(MKFS), size=SIZE)
    copy = image.with_suffix(".copy")
    with mounted(image, "btrfs", options=f"rw,commit=3000,{chance.choice(MOUNT)}") as root:
        at_work = Work(root, seed)
        if chance.random() < 0.3:
            subvolume("create", root / "subvolume")
            at_work.add_folder(root / "subvolume")
        at_work.do(chance.choice((30, 100)))
        subprocess.run(["sync", "--file-system", root], check=True)
        at_work.do(chance.choice((3, 10, 40, 150)))
        subprocess.run(["cp", "--sparse=always", image, copy], check=True)
    return copy


def compare(image: Path) -> bool:
    """Compare with what the kernel makes of the image, which it changes; whether there was a log."""
    with stored(image) as storage:
        was_replayed = storage.was_replayed
        filesystem = BtrfsFilesystem(storage)
        entries = list(filesystem.walk())
        hashes = reader_hashes(filesystem, entries)
    before = time.time_ns()
    with mounted(image, "btrfs", options="rw,noatime") as root:
        expected, contents = kernel_entries(root), kernel_hashes(root)
    # The kernel gives directories that it takes names from the time of the replay.
    replayed = {entry.path for entry in expected if entry.mtime_ns >= before}
    assert all(entry.kind is Kind.DIRECTORY for entry in expected if entry.path in replayed)
    assert [shown(entry, replayed) for entry in entries] == [shown(entry, replayed) for entry in expected]
    assert hashes == contents
    return was_replayed


def shown(entry: Entry, replayed: set[bytes]) -> Entry:
    entry = entry._replace(inode=entry.inode & OWN)
    return entry._replace(mtime_ns=0) if entry.path in replayed else entry


def test_replay_equals_the_kernels(tmp_path: Path) -> None:
    replayed = [compare(work(tmp_path / f"{seed}", seed)) for seed in range(4)]
    assert any(replayed)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("start", range(100, 400, 50))
def test_replay_equals_the_kernels_many_times(start: int, tmp_path: Path) -> None:
    for seed in range(start, start + 50):
        compare(work(tmp_path / "image", seed))
        for path in tmp_path.iterdir():
            path.unlink()


def test_new_files_are_there(tmp_path: Path) -> None:
    image = tmp_path / "image"
    with open(image, "wb") as file:
        file.truncate(SIZE)
    busy = busy_image(image, "btrfs")
    with opened(busy) as filesystem:
        assert len(list(filesystem.walk(b"srv"))) == FILES + 2
    assert compare(busy)


def test_frozen_image_needs_no_replay(tmp_path: Path) -> None:
    image = tmp_path / "image"
    with open(image, "wb") as file:
        file.truncate(SIZE)
    assert not compare(busy_image(image, "btrfs", frozen=True))
