"""Disk images inside other files: ranges of an archive, chunks, gzip, and what is wrong with them."""

from __future__ import annotations

import gzip
import pickle
import random
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from converters.disks import FilePart, ImageFile, PackedDisk, detect, open_disk
from converters.errors import DiskError, LimitError, ScratchFullError, UnsupportedError

from .images import content, make

FORMATS = (
    ("raw", ""),
    ("vmdk", "streamOptimized"),
    ("vmdk", "monolithicSparse"),
    ("qcow2", ""),
    ("vdi", ""),
    ("vpc", ""),
    ("vhdx", ""),
)


@pytest.fixture(autouse=True)
def temporary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A folder for temporary files, in which nothing is left."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert not list(folder.iterdir())


def opened(source: PackedDisk) -> bytes:
    assert pickle.loads(pickle.dumps(source)) == source
    with closing(open_disk(source)) as disk:
        return content(disk)


@pytest.fixture(scope="module")
def images(raw_image: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The disk in every format, by name."""
    folder = tmp_path_factory.mktemp("formats")
    made = {}
    for format, subformat in FORMATS:
        name = subformat or format
        made[name] = make(format, subformat, raw_image, folder / name)
    return made


NAMES = [subformat or format for format, subformat in FORMATS]


@pytest.mark.parametrize("name", NAMES)
def test_a_member_of_an_archive(images: dict[str, Path], raw_image: Path, tmp_path: Path, name: str) -> None:
    archive = tmp_path / "vm.ova"
    with tarfile.open(archive, "w") as tar:
        tar.add(__file__, "before")
        tar.add(images[name], "disk")
        tar.add(__file__, "behind")
    with tarfile.open(archive) as tar:
        member = tar.getmember("disk")
    part = FilePart(str(archive), member.offset_data, member.size)
    assert opened(PackedDisk((part,), raw_image.stat().st_size)) == raw_image.read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_in_chunks(images: dict[str, Path], raw_image: Path, tmp_path: Path, name: str) -> None:
    data = images[name].read_bytes()
    for number, start in enumerate(range(0, len(data), 1 << 20)):
        (tmp_path / f"disk.{number:09d}").write_bytes(data[start : start + (1 << 20)])
    source = detect(str(tmp_path / "disk.000000000"))
    with closing(open_disk(source)) as disk:
        assert content(disk) == raw_image.read_bytes()


def test_chunks_that_are_no_multiple_of_a_sector(images: dict[str, Path], tmp_path: Path) -> None:
    data = images["qcow2"].read_bytes()
    (tmp_path / "a").write_bytes(data[:1000])
    (tmp_path / "b").write_bytes(data[1000:])
    with pytest.raises(UnsupportedError, match="no multiple of 512"):
        open_disk(PackedDisk((FilePart(str(tmp_path / "a")), FilePart(str(tmp_path / "b")))))


@pytest.mark.parametrize("name", ["raw", "streamOptimized", "qcow2"])
def test_compressed(images: dict[str, Path], raw_image: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / "disk.gz"
    path.write_bytes(gzip.compress(images[name].read_bytes(), 1))
    source = detect(str(path))
    assert source == PackedDisk((FilePart(str(path)),))
    assert opened(PackedDisk((FilePart(str(path)),), raw_image.stat().st_size)) == raw_image.read_bytes()


def test_compressed_in_members_padded_and_in_chunks(raw_image: Path, tmp_path: Path) -> None:
    data = raw_image.read_bytes()
    half = len(data) // 2
    packed = gzip.compress(data[:half], 1) + gzip.compress(data[half:], 1) + bytes(1000)
    (tmp_path / "a").write_bytes(packed[:77_777])
    (tmp_path / "b").write_bytes(packed[77_777:])
    assert opened(PackedDisk((FilePart(str(tmp_path / "a")), FilePart(str(tmp_path / "b"))))) == data


def test_what_gzip_ends_with_the_last_byte_that_was_asked_for(tmp_path: Path) -> None:
    """Its last output is still inside when the last input was taken."""
    path = tmp_path / "disk.gz"
    path.write_bytes(gzip.compress(bytes(5 << 20) + b"end", 9))
    assert opened(PackedDisk((FilePart(str(path)),))) == bytes(5 << 20) + b"end"


def test_a_bomb_stops_at_the_capacity(tmp_path: Path) -> None:
    path = tmp_path / "disk.gz"
    path.write_bytes(gzip.compress(bytes(70 << 20), 1))
    with pytest.raises(DiskError, match="more than the"):
        open_disk(PackedDisk((FilePart(str(path)),), 1 << 20))
    path.write_bytes(gzip.compress(bytes(2 << 20), 1))
    with pytest.raises(DiskError, match="its envelope says 1048576"):
        open_disk(PackedDisk((FilePart(str(path)),), 1 << 20))


def test_damaged_compression(raw_image: Path, tmp_path: Path) -> None:
    path = tmp_path / "disk.gz"
    packed = gzip.compress(raw_image.read_bytes(), 1)
    generator = random.Random(2)
    for cut in (10, len(packed) // 2, len(packed) - 1):
        path.write_bytes(packed[:cut])
        with pytest.raises(DiskError, match=r"ends early|damaged"):
            open_disk(PackedDisk((FilePart(str(path)),)))
    for _ in range(3):
        flipped = bytearray(packed)
        flipped[generator.randrange(100, len(packed))] ^= 1 << generator.randrange(8)
        path.write_bytes(flipped)
        with pytest.raises(DiskError, match=r"ends early|damaged"):
            open_disk(PackedDisk((FilePart(str(path)),)))
    path.write_bytes(packed + b"garbage")
    with pytest.raises(DiskError, match=r"ends early|damaged"):
        open_disk(PackedDisk((FilePart(str(path)),)))


def test_an_image_in_an_archive_names_no_file(tmp_path: Path, raw_image: Path) -> None:
    (tmp_path / "flat").write_bytes(bytes(1 << 20))
    text = b'# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\nRW 2048 FLAT "flat" 0\n'
    (tmp_path / "vm.ova").write_bytes(bytes(512) + text)
    with pytest.raises(DiskError, match="must stand alone"):
        open_disk(PackedDisk((FilePart(str(tmp_path / "vm.ova"), 512, len(text)),)))


@pytest.mark.parametrize("part", [(0, 1001), (1000, None), (-1, 10), (500, 0), (1 << 63, 1)])
def test_a_part_that_is_not_there(tmp_path: Path, part: tuple[int, int | None]) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(1000))
    with pytest.raises(DiskError, match="1000 bytes"):
        open_disk(PackedDisk((FilePart(str(path), *part),)))
    with pytest.raises(DiskError, match="without any file"):
        open_disk(PackedDisk(()))


def test_a_numbered_file_of_a_format_of_its_own(images: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "disk.001"
    path.write_bytes(images["qcow2"].read_bytes())
    assert detect(str(path)) == ImageFile(str(path), "qcow2")


def test_without_an_envelope_a_setting_is_the_limit(tmp_path: Path, raw_image: Path) -> None:
    path, size = tmp_path / "disk.gz", raw_image.stat().st_size
    path.write_bytes(gzip.compress(raw_image.read_bytes(), 1))
    source = PackedDisk((FilePart(str(path)),))
    with closing(open_disk(source, size)) as disk:
        assert disk.size == size
    with pytest.raises(LimitError, match=rf"unpacks to more than {size - 1} bytes .*--reader-unpack"):
        open_disk(source, size - 1)


def test_what_does_not_fit_packed_is_not_unpacked(tmp_path: Path, temporary: Path) -> None:
    path = tmp_path / "disk.gz"
    with path.open("wb") as file:
        file.write(b"\x1f\x8b\x08")
        file.truncate(1 << 43)
    with pytest.raises(ScratchFullError, match=rf"takes there more than its {1 << 43} bytes, where \d+ are"):
        open_disk(PackedDisk((FilePart(str(path)),)))
