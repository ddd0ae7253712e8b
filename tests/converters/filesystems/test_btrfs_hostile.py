"""btrfs with bits flipped, and one that lies: an equal result or an error, no crash, no hang."""

from __future__ import annotations

import os
import random
import struct
import subprocess
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from converters.errors import ConvertError, FilesystemError, UnsupportedError
from converters.filesystems.base import Entry, Kind
from converters.filesystems.btrfs import BtrfsFilesystem, Part, Storage
from converters.filesystems.btrfs.checksum import FIELD, kind
from tests.converters.filesystems.btrfs_images import loop, make, mounted_pool, opened, stored, subvolume
from tests.converters.filesystems.btrfs_work import Work
from tests.kernel import mounted, needs_root

pytestmark = [pytest.mark.root, needs_root]

SEEDS = 60
NODE = 4096
SUPERBLOCK = 64 << 10
CONTENT = b"\xaa"
LARGEST_READ = 16 << 20
SLOWEST = 20.0
"""Seconds that one damaged file system may take."""
CRC = kind(0)


class ChangedDisk:
    """A disk image, some of its bytes changed."""

    def __init__(self, path: Path, changes: Mapping[int, bytes]) -> None:
        self._file = os.open(path, os.O_RDONLY)
        self._changes = changes
        self.size = path.stat().st_size

    def pread(self, length: int, offset: int) -> bytes:
        data = bytearray(os.pread(self._file, length, offset))
        for place, new in self._changes.items():
            begin, end = max(place, offset), min(place + len(new), offset + len(data))
            if begin < end:
                data[begin - offset : end - offset] = new[begin - place : end - place]
        return bytes(data)

    def close(self) -> None:
        os.close(self._file)


def read_all(path: Path, changes: Mapping[int, bytes]) -> list[tuple[Entry, bytes]]:
    """Every entry with its bytes."""
    disk = ChangedDisk(path, changes)
    try:
        with Storage(Part(disk, 0, disk.size)) as storage, BtrfsFilesystem(storage) as filesystem:
            return [
                (entry, b"".join(filesystem.read(entry)))
                if entry.kind is Kind.FILE and entry.size <= LARGEST_READ
                else (entry, b"")
                for entry in filesystem.walk()
            ]
    finally:
        disk.close()


def outcomes(path: Path, seeds: Iterable[int], *, forged: bool) -> Counter[str]:
    """How reading ends with one to eight bits flipped, for each seed; ``forged``: with right checksums."""
    blocks = metadata(path)
    expected = read_all(path, {})
    counted: Counter[str] = Counter()
    for seed in seeds:
        chance = random.Random(seed)
        changes = {}
        for place in chance.sample(sorted(blocks), chance.choice((1, 1, 2))):
            changes[place] = damaged(blocks[place], chance, forged=forged)
        began = time.monotonic()
        try:
            counted["equal" if read_all(path, changes) == expected else "different"] += 1
        except ConvertError as error:
            counted[error.kind] += 1
        assert time.monotonic() - began < SLOWEST, seed
    return counted


def metadata(path: Path) -> dict[int, bytes]:
    """The blocks of metadata by their places, without those that nothing leads to any more."""
    with stored(path) as storage:
        generation = storage.generation
    found = {}
    data = path.read_bytes()
    uuid = data[SUPERBLOCK + 32 : SUPERBLOCK + 48]
    found[SUPERBLOCK] = data[SUPERBLOCK : SUPERBLOCK + 4096]
    newest: dict[int, int] = {}
    for place in range(0, len(data), NODE):
        block = data[place : place + NODE]
        if place != SUPERBLOCK and block[32:48] == uuid and CRC.is_right(block):
            found[place] = block
            newest[place] = int.from_bytes(block[80:88], "little")
    return {place: block for place, block in found.items() if newest.get(place, 0) <= generation + 1}


def damaged(block: bytes, chance: random.Random, *, forged: bool) -> bytes:
    """``block`` with one to four bits flipped where something is written."""
    changed = bytearray(block)
    for _ in range(chance.choice((1, 2, 4))):
        written = [place for place in range(FIELD, len(block)) if block[place]] or [FIELD]
        place = min(len(block) - 1, max(FIELD, chance.choice(written) + chance.choice((-1, 0, 0, 1))))
        changed[place] ^= 1 << chance.randrange(8)
    if forged:
        changed[:FIELD] = CRC.of(bytes(changed[FIELD:])).ljust(FIELD, b"\0")
    return bytes(changed)


def populate(root: Path) -> None:
    """Every structure there is, small."""
    for folder, count in (("few", 3), ("many", 200)):
        (root / folder).mkdir()
        for number in range(count):
            path = root / folder / f"file-{number}"
            path.write_bytes(CONTENT * (9000 if number % 20 == 0 else number))
    os.link(root / "few/file-0", root / "many/link")
    os.setxattr(root / "few/file-0", "user.a", b"v" * 900)
    (root / "symlink").symlink_to("few")
    subvolume("create", root / "subvolume")
    (root / "subvolume/file").write_bytes(CONTENT * 5000)
    with open(root / "holes", "wb") as file:
        for number in range(300):
            file.seek(number * 8192)
            file.write(CONTENT * 4096)
    subprocess.run(["sync", "--file-system", root], check=True)


@pytest.fixture(scope="module", params=["clean", "with-log"])
def image(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each block of metadata once, so that none is read from its copy; compressed; with a log to replay."""
    folder = tmp_path_factory.mktemp("hostile")
    image, copy = folder / "image", folder / "copy"
    make(image, "--mixed", "-n", str(NODE), "-d", "single", "-m", "single", size=64 << 20)
    with mounted(image, "btrfs", options="rw,compress-force=zstd,commit=3000") as root:
        populate(root)
        if request.param == "with-log":
            Work(root, 1).do(60)
            subprocess.run(["cp", "--sparse=always", image, copy], check=True)
    return copy if request.param == "with-log" else image


def test_damage_is_found_or_harmless(image: Path) -> None:
    counted = outcomes(image, range(SEEDS), forged=False)
    assert counted["different"] == 0
    assert counted["filesystem"] > SEEDS // 4
    assert counted.total() == SEEDS


def test_forged_metadata_do_no_harm(image: Path) -> None:
    counted = outcomes(image, range(SEEDS), forged=True)
    assert counted["filesystem"] > SEEDS // 10
    assert counted.total() == SEEDS


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("forged", [False, True])
def test_much_damage(image: Path, forged: bool) -> None:
    counted = outcomes(image, range(1000, 2000), forged=forged)
    assert forged or not counted["different"]
    assert counted.total() == 1000


def test_copies_are_read_where_one_is_damaged(tmp_path: Path) -> None:
    """Metadata and data twice: each has one copy damaged, in turn."""
    images = [tmp_path / "one", tmp_path / "two"]
    make(images[0], "-d", "raid1", "-m", "raid1", "--csum", "xxhash", further=images[1:])
    with mounted_pool(images, options="rw") as root:
        populate(root)
    with opened(*images) as filesystem:
        expected = [(entry, b"".join(filesystem.read(entry))) for entry in files(filesystem)]
    for damaged_image in images:
        whole = damaged_image.read_bytes()
        with open(damaged_image, "r+b") as file:
            for place in range(1 << 20, len(whole), 4096):
                if whole[place : place + 4096].strip(b"\0") and place != 64 << 20:
                    file.seek(place + 100)
                    file.write(b"damage")
        with opened(*images) as filesystem:
            assert [(entry, b"".join(filesystem.read(entry))) for entry in files(filesystem)] == expected
        damaged_image.write_bytes(whole)


def files(filesystem: BtrfsFilesystem) -> list[Entry]:
    return [entry for entry in filesystem.walk() if entry.kind is Kind.FILE]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    image = make(tmp_path_factory.mktemp("plain") / "image")
    with mounted(image, "btrfs", options="rw") as root:
        (root / "file").write_bytes(CONTENT * 100_000)
    return image


def test_damaged_data_are_an_error(plain: Path) -> None:
    """As the kernel says EIO, instead of giving what lies there."""
    place = plain.read_bytes().index(CONTENT * 4096)
    disk = ChangedDisk(plain, {place + 5000: b"x"})
    with Storage(Part(disk, 0, disk.size)) as storage, BtrfsFilesystem(storage) as filesystem:
        entry = filesystem.lookup(b"file")
        assert entry is not None
        with pytest.raises(FilesystemError, match="wrong checksum of data"):
            list(filesystem.read(entry))
    disk.close()


def test_sealed_files_are_told(plain: Path) -> None:
    """fs-verity; its flag is forged, as few kernels are built with it."""
    data, changes = plain.read_bytes(), {}
    for place in range(0, len(data), 16384):
        block = bytearray(data[place : place + 16384])
        count = int.from_bytes(block[96:100], "little")
        if block[88:96] == (5).to_bytes(8, "little") and not block[100] and CRC.is_right(bytes(block)):
            for item in range(101, 101 + count * 25, 25):
                number, type, _, start = struct.unpack_from("<QBQI", block, item)
                if (number, type) == (257, 1):
                    block[101 + start + 64 + 4] |= 1
                    block[:FIELD] = CRC.of(bytes(block[FIELD:])).ljust(FIELD, b"\0")
                    changes[place] = bytes(block)
    disk = ChangedDisk(plain, changes)
    with Storage(Part(disk, 0, disk.size)) as storage, BtrfsFilesystem(storage) as filesystem:
        assert len(list(filesystem.walk())) == 2
        assert [note for note in filesystem.notes if note.startswith("/file is sealed (fs-verity)")]
    disk.close()


def test_damaged_superblock(plain: Path) -> None:
    first, second = 64 << 10, 64 << 20
    disk = ChangedDisk(plain, {first + 100: b"damage"})
    with Storage(Part(disk, 0, disk.size)) as storage, BtrfsFilesystem(storage) as filesystem:
        assert [entry.path for entry in filesystem.walk()] == [b"", b"file"]
        assert [note for note in storage.notes if "first superblock is damaged" in note]
    disk.close()
    with pytest.raises(FilesystemError, match="wrong checksum in the superblock"):
        read_all(plain, {first + 100: b"damage", second + 100: b"damage"})


@pytest.mark.parametrize(
    ("offset", "new", "error", "says"),
    [
        (64, b"_BHRfS_X", FilesystemError, "magic number is missing"),
        (144, b"\0\0\0\0", FilesystemError, "contradicts itself"),
        (148, b"\xff\xff\xff\xff", FilesystemError, "contradicts itself"),
        (148, b"\0\x02\0\0", FilesystemError, "contradicts itself"),
        (136, b"\0", FilesystemError, "contradicts itself"),
        (160, b"\xff\xff", FilesystemError, "contradicts itself"),
        (160, b"\x40\0", FilesystemError, "within a chunk"),
        (198, b"\x09", FilesystemError, "contradicts itself"),
        (80, b"\0\0\0\0\0\0\0\x70", FilesystemError, "lies in no chunk"),
        (72, b"\xff", FilesystemError, "another time or tree"),
        (196, b"\x63\0", UnsupportedError, "checksums of type 99"),
        (189, b"\x12", UnsupportedError, "zoned"),
        (190, b"\x80", UnsupportedError, "bit 23"),
        (60, b"\x01", UnsupportedError, "seeding device"),
        (60, b"\x08", UnsupportedError, "change of its UUID"),
    ],
)
def test_lying_superblock(plain: Path, offset: int, new: bytes, error: type[ConvertError], says: str) -> None:
    block = bytearray(plain.read_bytes()[SUPERBLOCK : SUPERBLOCK + 4096])
    block[offset : offset + len(new)] = new
    block[:FIELD] = CRC.of(bytes(block[FIELD:])).ljust(FIELD, b"\0")
    with pytest.raises(error, match=says):
        read_all(plain, {SUPERBLOCK: bytes(block), 64 << 20: bytes(4096)})


def test_volume_shorter_than_its_file_system(plain: Path, tmp_path: Path) -> None:
    short = tmp_path / "short"
    short.write_bytes(plain.read_bytes()[: 100 << 20])
    with pytest.raises(FilesystemError, match="its volume only"):
        read_all(short, {})


@pytest.mark.parametrize(
    ("options", "devices", "given", "says"),
    [
        (("-d", "raid5", "-m", "raid1"), 3, 3, "RAID5"),
        (("-d", "raid6", "-m", "raid1c3"), 4, 4, "RAID6"),
        (("-d", "raid1", "-m", "raid1"), 2, 1, "device 2 is missing"),
    ],
)
def test_what_is_refused_by_name(
    tmp_path: Path, options: tuple[str, ...], devices: int, given: int, says: str
) -> None:
    first, *further = [tmp_path / f"image-{number}" for number in range(devices)]
    make(first, *options, further=further)
    with pytest.raises(UnsupportedError, match=says), opened(first, *further[: given - 1]):
        pass


def test_sprout_of_a_seeding_device_is_refused(tmp_path: Path) -> None:
    seed, sprout = tmp_path / "seed", tmp_path / "sprout"
    make(seed)
    subprocess.run(["btrfstune", "-S", "1", seed], check=True, capture_output=True)
    with open(sprout, "wb") as file:
        file.truncate(seed.stat().st_size)
    with mounted(seed, "btrfs") as root, loop(sprout) as device:
        subprocess.run(["btrfs", "device", "add", "-f", device, root], check=True, capture_output=True)
    with pytest.raises(UnsupportedError, match=r"seeding device|is missing"), opened(sprout, seed):
        pass
