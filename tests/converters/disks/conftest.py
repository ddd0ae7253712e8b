"""Real disk images, made by the tools that people make them with."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

CASES = Path(__file__).parents[4] / "shared" / "cases"


@pytest.fixture(scope="session")
def cases() -> Path:
    """The folder of real files with known right values, beside the checkout."""
    if not CASES.is_dir():
        pytest.skip(f"no folder of cases at {CASES}")
    return CASES


@pytest.fixture(scope="session")
def raw_image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ext4 file system of 24 MiB: programs, text, bytes that do not compress, and empty space."""
    folder = tmp_path_factory.mktemp("image")
    tree = folder / "tree"
    tree.mkdir()
    (tree / "program").write_bytes(Path("/usr/bin/qemu-img").read_bytes()[: 3 << 20])
    (tree / "random").write_bytes(random.Random(1).randbytes(2 << 20))
    (tree / "text").write_bytes(b"a line that repeats\n" * 100_000)
    image = folder / "disk.raw"
    with image.open("wb") as file:
        file.truncate(24 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-d", str(tree), str(image)], check=True)
    return image


@pytest.fixture(scope="session")
def stream_image(raw_image: Path) -> Path:
    """The same disk as a stream-optimized VMDK with its tables before the grains, as qemu-img writes it."""
    image = raw_image.with_name("stream.vmdk")
    command = ["qemu-img", "convert", "-O", "vmdk", "-o", "subformat=streamOptimized"]
    subprocess.run([*command, str(raw_image), str(image)], check=True)
    return image
