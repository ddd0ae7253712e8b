"""XFS with bits flipped and a superblock that lies: an equal result or an error, no crash, no hang."""

from __future__ import annotations

import os
import random
import subprocess
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from converters.errors import ConvertError, FilesystemError, UnsupportedError
from converters.filesystems.base import Entry, Kind
from converters.filesystems.xfs import XfsFilesystem
from tests.converters.filesystems.xfs_images import make
from tests.kernel import mounted, needs_root

SEEDS = 400
CONTENT = b"\xaa"
"""What files are filled with, so that their blocks are told from metadata."""
LARGEST_READ = 16 << 20
BLOCK = 1024
OLD = ("-m", "crc=0,finobt=0,reflink=0,rmapbt=0")


class FlippedDisk:
    """A disk image, some of its bytes changed; it keeps which parts were read."""

    def __init__(self, path: Path, flips: Mapping[int, int] | None = None) -> None:
        self._file = os.open(path, os.O_RDONLY)
        self._flips = flips or {}
        self.read: set[int] = set()
        self.size = path.stat().st_size

    def pread(self, length: int, offset: int) -> bytes:
        self.read.update(range(offset // BLOCK, (offset + length - 1) // BLOCK + 1))
        data = bytearray(os.pread(self._file, length, offset))
        for place, mask in self._flips.items():
            if offset <= place < offset + len(data):
                data[place - offset] ^= mask
        return bytes(data)

    def close(self) -> None:
        os.close(self._file)


def read_all(disk: FlippedDisk) -> list[tuple[Entry, bytes]]:
    """Every entry with its bytes."""
    with XfsFilesystem(disk) as filesystem:
        return [
            (entry, b"".join(filesystem.read(entry)))
            if entry.kind is Kind.FILE and entry.size <= LARGEST_READ
            else (entry, b"")
            for entry in filesystem.walk()
        ]


def metadata_places(path: Path, blocks: set[int]) -> list[int]:
    """Offsets of the bytes that hold anything but files' content, of the blocks that a reader reads."""
    places: list[int] = []
    with open(path, "rb") as image:
        for block in sorted(blocks):
            image.seek(block * BLOCK)
            data = image.read(BLOCK)
            if data.strip(b"\0") and data != CONTENT * len(data):
                places += range(block * BLOCK, block * BLOCK + len(data))
    return places


def outcomes(path: Path) -> Counter[str]:
    """How reading ends with one to eight bits flipped, for each seed."""
    disk = FlippedDisk(path)
    expected = read_all(disk)
    places = metadata_places(path, disk.read)
    disk.close()
    counted: Counter[str] = Counter()
    for seed in range(SEEDS):
        generator = random.Random(seed)
        chosen = generator.sample(places, generator.choice((1, 1, 2, 8)))
        damaged = FlippedDisk(path, {place: 1 << generator.randrange(8) for place in chosen})
        try:
            counted["equal" if read_all(damaged) == expected else "different"] += 1
        except ConvertError as error:
            counted[error.kind] += 1
        finally:
            damaged.close()
    return counted


def populate(root: Path) -> None:
    """Every structure there is, small: a directory in an inode, in a block, in many; attributes likewise."""
    for folder, count in (("few", 3), ("some", 40), ("many", 500)):
        (root / folder).mkdir()
        for i in range(count):
            (root / folder / f"file-{i}").write_bytes(CONTENT * (BLOCK * 4 if i % 20 == 0 else 0))
    for size in (10, 900, 3000, 20_000):
        path = root / f"attribute-{size}"
        path.write_bytes(b"")
        os.setxattr(path, "user.a", b"v" * size)
    for i in range(200):
        os.setxattr(root / "attribute-3000", f"user.name-{i}", b"v" * 60)
    (root / "short").symlink_to("few")
    (root / "long").symlink_to("x" * 1000)
    with open(root / "holes", "wb") as file:
        for i in range(600):
            file.seek(i * 8192)
            file.write(CONTENT * 4096)


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Path:
    image = make(tmp_path_factory.mktemp("new") / "image", "-b", "size=1024")
    with mounted(image, "xfs", options="rw") as root:
        populate(root)
    return image


@pytest.mark.root
@needs_root
def test_with_checksums_damage_is_found_or_harmless(new: Path) -> None:
    counted = outcomes(new)
    assert counted["different"] == 0
    assert counted["filesystem"] > SEEDS // 4
    assert counted.total() == SEEDS


def test_without_checksums_damage_does_no_harm(tmp_path: Path) -> None:
    counted = outcomes(old(tmp_path))
    assert counted["filesystem"] > SEEDS // 20
    assert counted.total() == SEEDS


def old(folder: Path) -> Path:
    """Version 4, filled by mkfs.xfs(8) itself."""
    content = folder / "content"
    content.write_bytes(CONTENT * 8192)
    names = "\n".join(f"file-{i} ---644 0 0 {content}" for i in range(120))
    prototype = folder / "prototype"
    prototype.write_text(
        f"/none\n0 0\nd--755 0 0\nmany d--755 0 0\n{names}\n$\nfew d--755 0 0\none ---644 1 2 {content}\n$\n"
        f"link l--777 0 0 few/one\nlong l--777 0 0 {'x' * 700}\ndevice b--600 0 0 8 1\n$\n"
    )
    return make(folder / "old", *OLD, "-p", str(prototype))


@pytest.mark.parametrize(
    ("offset", "data", "says"),
    [
        (0, b"XFSC", "magic number is missing"),
        (4, b"\0\0\0\0", "contradicts itself"),
        (88, b"\xff\xff\xff\xff", None),
        (84, b"\0\0\0\0", "contradicts itself"),
        (8, b"\0\0\0\1\0\0\0\0", "contradicts itself"),
        (104, b"\0\0", "contradicts itself"),
        (123, b"\xff", "contradicts itself"),
        (192, b"\xff", "contradicts itself"),
    ],
)
def test_lying_superblock(tmp_path: Path, offset: int, data: bytes, says: str | None) -> None:
    image = old(tmp_path)
    with open(image, "r+b") as file:
        file.seek(offset)
        file.write(data)
    disk = FlippedDisk(image)
    try:
        if says is None:
            assert read_all(disk)
        else:
            with pytest.raises(FilesystemError, match=says):
                read_all(disk)
    finally:
        disk.close()


def test_volume_shorter_than_its_file_system(tmp_path: Path) -> None:
    image = old(tmp_path)
    os.truncate(image, 200 << 20)
    disk = FlippedDisk(image)
    with pytest.raises(FilesystemError, match="its volume only"):
        read_all(disk)
    disk.close()


def test_log_elsewhere_is_refused_by_name(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with open(log, "wb") as file:
        file.truncate(128 << 20)
    image = tmp_path / "image"
    with open(image, "wb") as file:
        file.truncate(320 << 20)
    subprocess.run(["mkfs.xfs", "-q", "-f", "-l", f"logdev={log},size=64m", str(image)], check=True)
    disk = FlippedDisk(image)
    with pytest.raises(UnsupportedError, match="log on another device"):
        read_all(disk)
    disk.close()
