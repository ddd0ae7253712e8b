"""What an ext file system says of itself, looking up paths, reading, and errors of the disk underneath."""

from __future__ import annotations

import gc
import os
import weakref
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from converters.disks.base import Disk
from converters.errors import ConvertError, DiskError, FilesystemError, UnsupportedError
from converters.filesystems.base import Entry, Filesystem, Kind
from converters.filesystems.ext import ExtFilesystem
from tests.converters.filesystems.ext_images import MemoryDisk, debugfs, make, opened, patch

SUPERBLOCK = 1024
FEATURE_COMPAT, FEATURE_INCOMPAT, FEATURE_RO_COMPAT = (SUPERBLOCK + offset for offset in (0x5C, 0x60, 0x64))
NO_CHECKSUMS = ("-t", "ext4", "-O", "^metadata_csum")


class FailingDisk(MemoryDisk):
    """A disk that counts its reads, and fails from the read number ``failing`` on."""

    def __init__(self, data: bytes, failing: int | None = None, error: BaseException | None = None) -> None:
        super().__init__(data)
        self._failing = failing
        self._error = error or DiskError("the disk is gone")
        self.reads = 0

    def pread(self, length: int, offset: int) -> bytes:
        if self.reads == self._failing:
            raise self._error
        self.reads += 1
        return super().pread(length, offset)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ext")
    tree = folder / "tree"
    (tree / "etc/deep/er").mkdir(parents=True)
    (tree / "etc/hostname").write_bytes(b"guest\n")
    (tree / "etc/deep/er/file").write_bytes(bytes(range(256)) * 1000)
    (tree / "link").symlink_to("etc/hostname")
    (tree / "folder-link").symlink_to("etc")
    return make(folder / "image", "-t", "ext4", folder=tree)


def paths(filesystem: Filesystem, top: bytes = b"") -> list[bytes]:
    return [entry.path for entry in filesystem.walk(top)]


def test_walk_gives_the_root_first_and_parents_before_children(image: Path) -> None:
    with opened(image) as filesystem:
        assert paths(filesystem) == [
            b"",
            b"etc",
            b"etc/deep",
            b"etc/deep/er",
            b"etc/deep/er/file",
            b"etc/hostname",
            b"folder-link",
            b"link",
            b"lost+found",
        ]


def test_walk_from_a_directory_a_file_and_nothing(image: Path) -> None:
    with opened(image) as filesystem:
        assert paths(filesystem, b"etc/deep") == [b"etc/deep", b"etc/deep/er", b"etc/deep/er/file"]
        assert paths(filesystem, b"etc/hostname") == [b"etc/hostname"]
        assert paths(filesystem, b"folder-link") == [b"folder-link"]
        assert paths(filesystem, b"no/such") == []


@pytest.mark.parametrize(
    "path",
    [b"nothing", b"etc/nothing", b"etc/hostname/x", b"folder-link/hostname", b"etc/..", b"/etc", b"etc/"],
)
def test_lookup_of_what_is_not_there(image: Path, path: bytes) -> None:
    with opened(image) as filesystem:
        assert filesystem.lookup(path) is None


def test_lookup_equals_walk(image: Path) -> None:
    with opened(image) as filesystem:
        assert [filesystem.lookup(entry.path) for entry in filesystem.walk()] == list(filesystem.walk())


def test_lookup_in_a_directory_too_large_to_keep(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("converters.filesystems.inode_walk._LARGEST_LISTED", 100)
    with opened(image) as filesystem:
        entry = filesystem.lookup(b"etc/hostname")
        assert entry is not None
        assert entry.size == 6
        assert filesystem.lookup(b"etc/hostnam") is None


def test_lookups_read_little(image: Path) -> None:
    disk = FailingDisk(image.read_bytes())
    with ExtFilesystem(disk) as filesystem:
        for _ in range(100):
            assert filesystem.lookup(b"etc/deep/er/file") is not None
    assert disk.reads < 10


def test_read_gives_the_bytes(image: Path) -> None:
    with opened(image) as filesystem:
        entry = filesystem.lookup(b"etc/deep/er/file")
        assert entry is not None
        assert b"".join(filesystem.read(entry)) == bytes(range(256)) * 1000


def test_read_and_runs_refuse_what_is_no_file(image: Path) -> None:
    with opened(image) as filesystem:
        for path in (b"etc", b"link"):
            entry = filesystem.lookup(path)
            assert entry is not None
            with pytest.raises(FilesystemError, match="no regular file"):
                filesystem.read(entry)
            with pytest.raises(FilesystemError, match="no regular file"):
                filesystem.runs(entry)


def test_a_file_of_15_tib_is_read_lazily_in_small_chunks(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    make_file = tree / "sparse"
    with open(make_file, "wb") as file:
        file.write(b"begin")
        file.truncate(1 << 30)
    image = make(tmp_path / "image", "-t", "ext4", folder=tree)
    debugfs(image, f"set_inode_field /sparse size {15 << 40}")
    with opened(image) as filesystem:
        entry = filesystem.lookup(b"sparse")
        assert entry is not None
        assert entry.size == 15 << 40
        chunks = list(islice(filesystem.read(entry), 1000))
        assert b"".join(chunks[:2]).startswith(b"begin\0\0")
        assert max(map(len, chunks)) <= 4 << 20
        assert len({id(chunk) for chunk in chunks}) < 10


def test_chunks_are_bounded(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    data = os.urandom(9_000_001)
    (tree / "large").write_bytes(data)
    image = make(tmp_path / "image", "-t", "ext4", size=16 << 20, folder=tree)
    with opened(image) as filesystem:
        entry = filesystem.lookup(b"large")
        assert entry is not None
        chunks = list(filesystem.read(entry))
    assert b"".join(chunks) == data
    assert max(map(len, chunks)) <= 4 << 20


@pytest.mark.parametrize("kind", ["ext2", "ext3", "ext4"])
def test_type(tmp_path: Path, kind: str) -> None:
    with opened(make(tmp_path / "image", "-t", kind)) as filesystem:
        assert filesystem.type == kind
        assert not filesystem.needs_recovery
        assert not filesystem.has_errors
        assert filesystem.external_journal == ""


def test_state_is_told(tmp_path: Path) -> None:
    image = make(tmp_path / "image", "-t", "ext4")
    debugfs(image, "set_super_value state 2", "feature needs_recovery")
    with opened(image) as filesystem:
        assert filesystem.needs_recovery
        assert filesystem.has_errors
        assert paths(filesystem) == [b"", b"lost+found"]


def test_external_journal_is_told(tmp_path: Path) -> None:
    image = make(tmp_path / "image", "-t", "ext4", "-O", "^has_journal")
    identifier = "0f6f2a8a-7f7e-4c3c-9c52-111213141516"
    debugfs(image, "feature has_journal", f"set_super_value journal_uuid {identifier}")
    with opened(image) as filesystem:
        assert filesystem.external_journal == identifier


@pytest.mark.parametrize("size", [1024, 16384, 65536])
def test_block_sizes(tmp_path: Path, size: int) -> None:
    tree = tmp_path / "tree"
    (tree / "many").mkdir(parents=True)
    for i in range(500):
        (tree / f"many/{i}-{'n' * 40}").write_bytes(b"%d" % i)
    image = make(tmp_path / "image", "-t", "ext4", "-b", str(size), size=64 << 20, folder=tree)
    with opened(image) as filesystem:
        entries = [entry for entry in filesystem.walk(b"many") if entry.kind is Kind.FILE]
        assert len(entries) == 500
        for entry in entries:
            assert b"".join(filesystem.read(entry)) == entry.path[5:].split(b"-")[0]


def test_directories_that_ignore_case_are_read_as_they_are(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "d").mkdir(parents=True)
    (tree / "d/MiXed").touch()
    image = make(tmp_path / "image", "-t", "ext4", "-O", "casefold", folder=tree)
    debugfs(image, "set_inode_field d flags 0x40080000")
    with opened(image) as filesystem:
        assert filesystem.lookup(b"d/MiXed") is not None
        assert filesystem.lookup(b"d/mixed") is None


def test_journal_device_is_refused_by_name(tmp_path: Path) -> None:
    image = make(tmp_path / "image", "-O", "journal_dev", "-b", "4096")
    with pytest.raises(UnsupportedError, match="external ext journal"), opened(image):
        pass


def test_unknown_incompatible_features_are_refused_by_name(tmp_path: Path) -> None:
    image = make(tmp_path / "image", *NO_CHECKSUMS)
    features = int.from_bytes(image.read_bytes()[FEATURE_INCOMPAT : FEATURE_INCOMPAT + 4], "little")
    patch(image, FEATURE_INCOMPAT, (features | 1 << 20 | 0x1000).to_bytes(4, "little"))
    with pytest.raises(UnsupportedError, match="dirdata, FEATURE_I20"), opened(image):
        pass


def test_unknown_compatible_features_are_read(tmp_path: Path) -> None:
    image = make(tmp_path / "image", *NO_CHECKSUMS)
    for place in (FEATURE_COMPAT, FEATURE_RO_COMPAT):
        features = int.from_bytes(image.read_bytes()[place : place + 4], "little")
        patch(image, place, (features | 1 << 29).to_bytes(4, "little"))
    with opened(image) as filesystem:
        assert paths(filesystem) == [b"", b"lost+found"]


def test_what_is_no_file_system(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(os.urandom(1 << 20))
    patch(image, SUPERBLOCK + 0x38, b"\0\0")
    with pytest.raises(FilesystemError, match="no ext2, ext3 or ext4"), opened(image):
        pass


def test_a_volume_shorter_than_its_file_system(image: Path) -> None:
    with pytest.raises(FilesystemError, match="its volume only 4194304"), opened(image, 0, 4 << 20):
        pass


def _use(disk: Disk) -> Iterator[Entry]:
    with ExtFilesystem(disk) as filesystem:
        for entry in filesystem.walk():
            yield entry
            if entry.kind is Kind.FILE:
                for _ in filesystem.read(entry):
                    pass


@pytest.mark.parametrize("error", [DiskError("the disk is gone"), KeyboardInterrupt("stop")], ids=repr)
def test_errors_of_the_disk_come_through_wherever_they_happen(image: Path, error: BaseException) -> None:
    whole = FailingDisk(image.read_bytes())
    assert len(list(_use(whole))) == 9
    for failing in range(whole.reads):
        with pytest.raises(type(error)) as caught:
            list(_use(FailingDisk(image.read_bytes(), failing, error)))
        assert caught.value is error


def test_a_disk_that_ends_early(image: Path) -> None:
    data = image.read_bytes()

    class Short(MemoryDisk):
        @property
        def size(self) -> int:
            return len(data)

    for length in (0, 1024, 2048, 5000, 70_000):
        with pytest.raises(ConvertError):
            list(_use(Short(data[:length])))


def test_closing_twice_and_leaving_nothing_behind(image: Path) -> None:
    disk = MemoryDisk(image.read_bytes())
    gc.collect()
    gc.disable()
    try:
        filesystem = ExtFilesystem(disk)
        assert len(paths(filesystem)) == 9
        filesystem.close()
        filesystem.close()
        left = weakref.ref(disk)
        del filesystem, disk
        assert left() is None
    finally:
        gc.enable()


def test_use_after_closing(image: Path) -> None:
    with opened(image) as filesystem:
        walk = filesystem.walk()
        next(walk)
        entry = filesystem.lookup(b"etc/hostname")
        assert entry is not None
    for use in (lambda: next(walk), lambda: filesystem.lookup(b"etc"), lambda: filesystem.read(entry)):
        with pytest.raises(ValueError, match="closed"):
            use()
