"""ext images that other projects met, with the right values; read as they lie, no journal replayed."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from converters.errors import FilesystemError
from converters.filesystems.base import Entry, Kind
from converters.filesystems.ext import ExtFilesystem
from tests.converters.filesystems.ext_images import MemoryDisk, debugfs, opened
from tests.kernel import kernel_entries, kernel_hashes, mounted, needs_root, reader_hashes

CASES = Path(__file__).parents[4] / "shared/cases"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not beside the checkout")


Unpack = Callable[[str], Path]


@pytest.fixture(scope="module")
def unpack(tmp_path_factory: pytest.TempPathFactory) -> Unpack:
    """Gives the path of an image of EXT-01 or EXT-02, each unpacked once; not to be changed."""
    folder = tmp_path_factory.mktemp("cases")
    return lambda name: folder / name if (folder / name).exists() else _unpack(folder / name)


def _unpack(image: Path) -> Path:
    name = image.name
    packed = CASES / "EXT-01/test_data" / f"{name}.bin.zst"
    if packed.exists():
        subprocess.run(["zstd", "-q", "-d", packed, "-o", image], check=True)
        return image
    packed = CASES / "EXT-02/tests" / name
    if (packed / "image.gz").exists():
        image.write_bytes(gzip.decompress((packed / "image.gz").read_bytes()))
    else:
        image.write_bytes(bz2.decompress((packed / "image.bz2").read_bytes()))
    return image


def expected_hashes(name: str) -> dict[bytes, str]:
    """The lines of sha256sum(1), by path."""
    lines = (CASES / "EXT-expected" / name).read_bytes().splitlines()
    return {line[68:]: line[:64].decode() for line in lines}


def entry_at(filesystem: ExtFilesystem, path: bytes) -> Entry:
    entry = filesystem.lookup(path)
    assert entry is not None, path
    return entry


def test_every_file_but_the_encrypted(unpack: Unpack) -> None:
    expected = expected_hashes("EXT-01.test_disk1.after.sha256")
    assert len(expected) == 11_007
    with opened(unpack("test_disk1")) as filesystem:
        found = reader_hashes(filesystem, list(filesystem.walk()))
        assert [entry.kind for entry in filesystem.walk(b"encrypted_dir")] == [Kind.DIRECTORY]
        (note,) = filesystem.notes
    assert note == (
        "/encrypted_dir is encrypted (fscrypt): its key is not on the disk, and what it holds is left out."
    )
    assert found == {
        path: value for path, value in expected.items() if not path.startswith(b"encrypted_dir/")
    }


def test_symbolic_links_around_the_edge(unpack: Unpack) -> None:
    with opened(unpack("test_disk1")) as filesystem:
        # 59 bytes fit into the inode, 60 do not.
        assert entry_at(filesystem, b"sym_59").target == b"a" * 59
        assert entry_at(filesystem, b"sym_60").target == b"a" * 60


def test_triple_indirect_blocks(unpack: Unpack) -> None:
    with opened(unpack("test_disk_ext2")) as filesystem:
        entry = entry_at(filesystem, b"big_file")
        assert (entry.size, entry.uid, entry.gid) == (71_577_600, 1000, 1000)
        assert sum(map(len, filesystem.read(entry))) == 71_577_600


def test_everything_inline(unpack: Unpack) -> None:
    with opened(unpack("d_inline_dump")) as filesystem:
        for path, size in ((b"file", 80), (b"shortfile", 20)):
            entry = entry_at(filesystem, path)
            assert entry.size == size
            assert entry.xattrs == ((b"user.a", b"b"),)
            assert filesystem.runs(entry) is None
            assert len(b"".join(filesystem.read(entry))) == size
        assert entry_at(filesystem, b"link").target == b"x" * 80
        assert len(list(filesystem.walk(b"dir"))) == 4


@pytest.mark.parametrize("name", ["f_jnl_64bit", "j_recover_csum3_64bit", "j_corrupt_journal_block"])
def test_a_journal_to_replay_is_told(unpack: Unpack, name: str) -> None:
    with opened(unpack(name)) as filesystem:
        assert filesystem.needs_recovery


def test_a_journal_not_replayed_gives_no_file_that_was_not_there(unpack: Unpack) -> None:
    # The names are there and their inodes are not: the kernel without replay fails on each too.
    with opened(unpack("f_jnl_64bit")) as filesystem, pytest.raises(FilesystemError, match="not in use"):
        list(filesystem.walk())
    with opened(unpack("j_recover_csum3_64bit")) as filesystem:
        assert [entry.path for entry in filesystem.walk()] == [b"", b"lost+found"]
        assert filesystem.lookup(b"a/b/c") is None


@pytest.mark.parametrize(
    ("name", "path"), [("f_bad_encryption", "/edir"), ("f_encrypted_lpf", "/lost+found")]
)
def test_what_an_encrypted_directory_holds_is_left_out_and_told(unpack: Unpack, name: str, path: str) -> None:
    with opened(unpack(name)) as filesystem:
        paths = [entry.path for entry in filesystem.walk()]
        assert path[1:].encode() in paths
        assert not [other for other in paths if other.startswith(path[1:].encode() + b"/")]
        assert f"{path} is encrypted (fscrypt)" in filesystem.notes[0]


def test_a_directory_with_a_hole_is_damaged(unpack: Unpack) -> None:
    with opened(unpack("f_holedir3")) as filesystem, pytest.raises(FilesystemError, match="hole"):
        list(filesystem.walk())


def test_another_file_system_is_none_of_ours(unpack: Unpack) -> None:
    with (
        pytest.raises(FilesystemError, match="no ext2, ext3 or ext4"),
        opened(unpack("f_detect_xfs")),
    ):
        pass


@pytest.mark.root
@needs_root
@pytest.mark.parametrize(
    "name",
    [
        "d_inline_dump",
        "f_convert_bmap_sparse",
        "f_big_sparse",
        "test_disk_ext2",
        "test_disk_ext3",
    ],
)
def test_equals_kernel(unpack: Unpack, name: str) -> None:
    image = unpack(name)
    with mounted(image, "ext4") as root:
        expected, contents = kernel_entries(root), kernel_hashes(root)
    with opened(image) as filesystem:
        entries = list(filesystem.walk())
        assert entries == expected
        assert reader_hashes(filesystem, entries) == contents


@pytest.mark.root
@needs_root
def test_verity_covers_plain_data(unpack: Unpack, tmp_path: Path) -> None:
    image = unpack("f_verity")
    plain = Path(shutil.copy(image, tmp_path / "plain"))
    # Not every kernel opens a file with fs-verity, so the judge gets a copy without the flag.
    debugfs(plain, "set_inode_field /file flags 0x80000")
    with mounted(plain, "ext4") as root:
        expected, contents = kernel_entries(root), kernel_hashes(root)
    with opened(image) as filesystem:
        entries = list(filesystem.walk())
        assert entries == expected
        assert reader_hashes(filesystem, entries) == contents
        assert filesystem.notes == (
            "/file is sealed (fs-verity): its bytes are read, and the seal is not kept.",
        )


@pytest.mark.parametrize(
    ("names", "owner"), [(("ext2.splitraw.000", "ext2.splitraw.001"), 1000), (("ímynd.dd",), 151_107)]
)
def test_one_tree_on_two_disks(names: tuple[str, ...], owner: int) -> None:
    data = b"".join((CASES / "IMG-02/test_data" / name).read_bytes() for name in names)
    if len(names) == 2:
        assert hashlib.md5(data, usedforsecurity=False).hexdigest() == "196066add11fb71c4c49cf1bb50d6d24"
    with ExtFilesystem(MemoryDisk(data)) as filesystem:
        sizes = {entry.path: entry.size for entry in filesystem.walk() if entry.kind is Kind.FILE}
        assert sizes == {b"passwords.txt": 116, b"a_directory/a_file": 53, b"a_directory/another_file": 22}
        assert len(entry_at(filesystem, b"a_link").target) == 24
        assert entry_at(filesystem, b"passwords.txt").uid == owner
