"""Seeded bit flips: with checksums an equal result or an error, without at least no crash and no hang."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.converters.filesystems.ext_images import make

SEEDS = 600
PATIENCE = 120
"""Seconds for all of them."""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    generator = random.Random(0)
    for folder in range(4):
        (tree / f"{folder}/sub").mkdir(parents=True)
        for file in range(12):
            size = generator.choice((0, 20, 100, 3000, 30_000))
            (tree / f"{folder}/file-{file}").write_bytes(generator.randbytes(size))
        (tree / f"{folder}/sub/link").symlink_to("short")
    with open(tree / "holes", "wb") as sparse:
        for block in range(0, 60, 2):
            sparse.seek(block * 4096)
            sparse.write(generator.randbytes(4096))
    return tree


def outcomes(image: Path) -> Counter[str]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.converters.filesystems.ext_corruptions", str(image), "0", str(SEEDS)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout[-200:]
    return Counter(line.split()[1] for line in done.stdout.splitlines())


@pytest.mark.parametrize("options", [("-b", "1024"), ("-b", "1024", "-O", "inline_data,metadata_csum_seed")])
def test_with_checksums_damage_is_found_or_harmless(
    tree: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    image = make(tmp_path / "image", "-t", "ext4", *options, "-N", "128", size=4 << 20, folder=tree)
    counted = outcomes(image)
    assert counted["different"] == 0
    assert counted["filesystem"] > SEEDS // 10
    assert counted.total() == SEEDS


@pytest.mark.parametrize("kind", ["ext2", "ext3"])
def test_without_checksums_damage_does_no_harm(tree: Path, tmp_path: Path, kind: str) -> None:
    image = make(tmp_path / "image", "-t", kind, "-b", "1024", "-N", "128", size=4 << 20, folder=tree)
    counted = outcomes(image)
    assert counted["filesystem"] > SEEDS // 20
    assert counted.total() == SEEDS
