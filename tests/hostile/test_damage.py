"""Images cut short, zeroed in part and with flipped bits: read as Linux reads them, or refused."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.converters.filesystems.ext_images import make as make_ext
from tests.converters.filesystems.guest_disks import fill, root_files
from tests.converters.filesystems.xfs_images import make as make_xfs
from tests.converters.filesystems.xfs_old import OLD

FEW, MANY = 5, 1000
_ERRORS = {"filesystem", "disk", "no-linux", "unsupported", "reader-limit"}


def _xfs(*options: str) -> Callable[[Path, Path], None]:
    def make(image: Path, tree: Path) -> None:
        prototype = image.with_suffix(".prototype")
        prototype.write_text(f"/none\n0 0\n{_prototype(tree)}\n")
        make_xfs(image, *options, "-p", str(prototype))

    return make


def _btrfs(image: Path, tree: Path) -> None:
    with open(image, "wb") as file:
        file.truncate(128 << 20)
    subprocess.run(["mkfs.btrfs", "-q", "-f", "--rootdir", tree, image], check=True, capture_output=True)


def _ext(*options: str) -> Callable[[Path, Path], None]:
    def make(image: Path, tree: Path) -> None:
        make_ext(image, *options, "-N", "512", folder=tree)

    return make


MAKERS: Mapping[str, Callable[[Path, Path], None]] = {
    "ext2": _ext("-t", "ext2", "-b", "1024"),
    "ext3": _ext("-t", "ext3", "-b", "1024"),
    "ext4": _ext("-t", "ext4", "-b", "1024", "-O", "metadata_csum,inline_data"),
    "xfs": _xfs(),
    "xfs-v4": _xfs(*OLD),
    "btrfs": _btrfs,
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Linux root with directories of several sizes, files in one piece and in many, and links.

    Most files are alike, so that their blocks are passed over: it is metadata that can mislead a reader.
    """
    tree = tmp_path_factory.mktemp("tree")
    fill(tree, root_files("", **{"srv/link": "-> ../etc/os-release", "srv/long": f"-> {'x' * 200}"}))
    generator = random.Random(0)
    for folder in range(4):
        for number in range(40 if folder else 120):
            path = tree / f"srv/{folder}/file-{number}"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"\xaa" * generator.choice((0, 20, 100, 3000)))
    with open(tree / "srv/holes", "wb") as file:
        for block in range(0, 40, 2):
            file.seek(block * 4096)
            file.write(generator.randbytes(4096))
    return tree


def _prototype(folder: Path) -> str:
    """What mkfs.xfs(8) fills a file system from: a folder and all that is in it."""
    lines = ["d--755 0 0"]
    for path in sorted(folder.iterdir()):
        if path.is_symlink():
            lines.append(f"{path.name} l--777 0 0 {path.readlink()}")
        elif path.is_dir():
            lines.append(f"{path.name} {_prototype(path)}")
        else:
            lines.append(f"{path.name} ---644 0 0 {path}")
    return "\n".join([*lines, "$"])


def outcomes(image: Path, seeds: range) -> Counter[str]:
    """How many seeds end in each way, tried on all processors at once if they are many."""
    count = len(os.sched_getaffinity(0)) if len(seeds) > FEW else 1
    step = -(-len(seeds) // count)
    parts = [range(first, min(first + step, seeds.stop)) for first in range(seeds.start, seeds.stop, step)]
    with ThreadPoolExecutor(count) as pool:
        return sum(pool.map(lambda part: _outcomes(image, part), parts), Counter[str]())


def _outcomes(original: Path, seeds: range) -> Counter[str]:
    image = original.with_name(f"{original.name}-{seeds.start}")
    subprocess.run(["cp", "--sparse=always", original, image], check=True)
    command = [sys.executable, "-m", "tests.hostile.damage", str(image), str(seeds.start), str(seeds.stop)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"a crash or a hang after:\n{done.stdout[-200:]}\n{done.stderr[-2000:]}"
    image.unlink()
    lines = [line.split() for line in done.stdout.splitlines()]
    wrong = [seed for seed, outcome in lines if outcome == "different"]
    assert not wrong, f"read otherwise than Linux does: seeds {', '.join(wrong)}"
    return Counter(outcome for _, outcome in lines)


@pytest.mark.parametrize(
    ("name", "seeds"),
    [
        *(pytest.param(name, range(FEW), id=name) for name in MAKERS),
        *(
            pytest.param(
                name, range(FEW, MANY), id=f"{name}-many", marks=[pytest.mark.long, pytest.mark.timeout(1800)]
            )
            for name in MAKERS
        ),
    ],
)
def test_damage(name: str, seeds: range, tree: Path, tmp_path: Path) -> None:
    image = tmp_path / "image"
    MAKERS[name](image, tree)
    counted = outcomes(image, seeds)
    image.unlink()
    assert counted.total() == len(seeds)
    assert set(counted) <= {"equal", "kernel", "unused", "large", *_ERRORS}
    assert any(counted[kind] for kind in _ERRORS)
