"""File systems that lie: each ends in an error that says what is wrong, never in a crash or in garbage."""

from __future__ import annotations

from pathlib import Path

import pytest

from converters.errors import FilesystemError, UnsupportedError
from converters.filesystems.base import Kind
from tests.converters.filesystems.ext_images import debugfs, make, opened, patch

NO_CHECKSUMS = ("-t", "ext4", "-O", "^metadata_csum")
BLOCK_MAP = ("-t", "ext2")
NAME = b"a-name-found-once"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / "d/e").mkdir(parents=True)
    (tree / "d" / NAME.decode()).write_bytes(b"x" * 5000)
    (tree / "link").symlink_to("t" * 100)
    return tree


def use(image: Path) -> list[bytes]:
    """Walk, and read every byte there is; the paths."""
    paths = []
    with opened(image) as filesystem:
        for entry in filesystem.walk():
            paths.append(entry.path)
            if entry.kind is Kind.FILE:
                for _ in filesystem.read(entry):
                    pass
    return paths


def test_the_tree_is_fine_before(tree: Path, tmp_path: Path) -> None:
    for options in (NO_CHECKSUMS, BLOCK_MAP, ("-t", "ext4")):
        assert use(make(tmp_path / "image", *options, folder=tree))[1:4] == [b"d", b"d/" + NAME, b"d/e"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (b"a-name/found-once", "impossible name"),
        (b"a-name\0found-once", "impossible name"),
        (b"../../etc/passwd\0", "impossible name"),
    ],
)
def test_names_that_no_file_can_have(tree: Path, tmp_path: Path, name: bytes, message: str) -> None:
    image = make(tmp_path / "image", *NO_CHECKSUMS, folder=tree)
    patch(image, image.read_bytes().index(NAME), name)
    with pytest.raises(FilesystemError, match=message):
        use(image)


@pytest.mark.parametrize(
    ("length", "name", "message"),
    [
        (0, b"", "impossible name"),
        (1, b".", "among the names"),
        (2, b"..", "among the names"),
        (255, b"", "damaged"),
    ],
)
def test_entries_that_lie(tree: Path, tmp_path: Path, length: int, name: bytes, message: str) -> None:
    image = make(tmp_path / "image", *NO_CHECKSUMS, folder=tree)
    place = image.read_bytes().index(NAME)
    patch(image, place, name)
    patch(image, place - 2, bytes([length]))
    with pytest.raises(FilesystemError, match=message):
        use(image)


def test_one_name_for_two_files(tree: Path, tmp_path: Path) -> None:
    (tree / "d" / NAME.replace(b"once", b"twice").decode()).write_bytes(b"y")
    image = make(tmp_path / "image", *NO_CHECKSUMS, folder=tree)
    place = image.read_bytes().index(b"a-name-found-twice")
    patch(image, place, NAME)
    patch(image, place - 2, bytes([len(NAME)]))
    with pytest.raises(FilesystemError, match="twice"):
        use(image)


@pytest.mark.parametrize("number", [1, 3, 8, 10, 4_000_000, 0xFFFFFFFF])
def test_inodes_that_no_name_can_have(tree: Path, tmp_path: Path, number: int) -> None:
    image = make(tmp_path / "image", *NO_CHECKSUMS, folder=tree)
    patch(image, image.read_bytes().index(NAME) - 8, number.to_bytes(4, "little"))
    with pytest.raises(FilesystemError, match=f"leads to inode {number}"):
        use(image)


@pytest.mark.parametrize("length", [0, 4, 13, 4092, 65535])
def test_entries_of_impossible_length(tree: Path, tmp_path: Path, length: int) -> None:
    image = make(tmp_path / "image", *NO_CHECKSUMS, folder=tree)
    patch(image, image.read_bytes().index(NAME) - 4, length.to_bytes(2, "little"))
    with pytest.raises(FilesystemError, match="damaged entry"):
        use(image)


@pytest.mark.parametrize(
    ("commands", "message"),
    [
        (("link d d/e/loop",), "reached twice"),
        (("link d second",), "reached twice"),
        (("link <2> d/root",), "reached twice"),
        (("link <8> d/journal",), "leads to inode 8"),
        (("clri d/e",), "not in use"),
        (("set_inode_field d links_count 0",), "not in use"),
        (("set_inode_field d mode 0170755",), "not in use"),
        (("set_inode_field link size 5000",), "5000 bytes long"),
        (("set_inode_field link size 0",), "0 bytes long"),
        (("set_inode_field link size 120",), "symbolic link inode"),
        (("set_inode_field d size 8192",), "hole at its block 1"),
        (("set_inode_field d size 5000",), "hole"),
        (("set_inode_field d flags 0x10080000",), "less inline data"),
        (("set_inode_field d file_acl 1",), "extended attributes.* lies outside"),
        (("set_inode_field d file_acl 2",), "extended attributes.* own structures"),
        (("set_inode_field d file_acl 999999999",), "lie outside the volume|extended attributes"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_trees_that_lie(tree: Path, tmp_path: Path, commands: tuple[str, ...], message: str) -> None:
    image = make(tmp_path / "image", "-t", "ext4", folder=tree)
    debugfs(image, *commands)
    with pytest.raises(FilesystemError, match=message):
        use(image)


def test_one_block_for_much_of_a_directory(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "d").mkdir(parents=True)
    for i in range(100):
        (tree / "d" / f"{i}-with-a-rather-long-name").touch()
    image = make(tmp_path / "image", *BLOCK_MAP, "-b", "1024", folder=tree)
    blocks = debugfs(image, "blocks d").splitlines()[1].split()
    debugfs(image, f"set_inode_field d block[2] {blocks[1]}")
    with pytest.raises(FilesystemError, match="one of its blocks twice"):
        use(image)


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("block[5] 0xfffffff0", "outside the file system"),
        ("block[5] 0", "outside the file system"),
        ("block[0] 0x0004f30b", "root of its extents"),
        ("block[0] 0x0009f30a", "node of its extents"),
        ("block[1] 0x00060004", "root of its extents"),
        ("block[4] 0", "out of order"),
        ("block[4] 0x00010002", "outside the file system"),
        ("block[1] 0x00010004", "outside the file system"),
    ],
)
def test_extents_that_lie(tree: Path, tmp_path: Path, field: str, message: str) -> None:
    image = make(tmp_path / "image", "-t", "ext4", folder=tree)
    debugfs(image, f"set_inode_field d/{NAME.decode()} {field}")
    with pytest.raises(FilesystemError, match=message):
        use(image)


@pytest.mark.parametrize("field", ["block[0] 0xfffffff0", "block[IND] 0xfffffff0", "block[TIND] 0xfffffff0"])
def test_block_maps_that_lie(tree: Path, tmp_path: Path, field: str) -> None:
    image = make(tmp_path / "image", *BLOCK_MAP, folder=tree)
    file = f"d/{NAME.decode()}"
    debugfs(image, f"set_inode_field {file} size {5 << 30}", f"set_inode_field {file} {field}")
    with opened(image) as filesystem, pytest.raises(FilesystemError, match="outside the file system"):
        entry = filesystem.lookup(file.encode())
        assert entry is not None
        list(filesystem.runs(entry) or ())


def test_encrypted_directories_are_left_out_by_path(tree: Path, tmp_path: Path) -> None:
    image = make(tmp_path / "image", "-t", "ext4", "-O", "encrypt", folder=tree)
    debugfs(image, "set_inode_field d/e flags 0x80800")
    use(image)
    with opened(image) as filesystem:
        assert filesystem.lookup(b"link") is not None
        assert filesystem.lookup(b"d/e/file") is None
        assert not filesystem.notes
        assert [entry.path for entry in filesystem.walk(b"d/e")] == [b"d/e"]
        assert [note.split(":")[0] for note in filesystem.notes] == ["/d/e is encrypted (fscrypt)"]


def test_an_encrypted_file_among_others_is_refused_by_path(tree: Path, tmp_path: Path) -> None:
    image = make(tmp_path / "image", "-t", "ext4", "-O", "encrypt", folder=tree)
    debugfs(image, f"set_inode_field d/{NAME.decode()} flags 0x80800")
    with pytest.raises(UnsupportedError, match=f"/d/{NAME.decode()} is encrypted"):
        use(image)


def test_notes_have_an_end(tmp_path: Path) -> None:
    folder = tmp_path / "tree"
    for number in range(30):
        (folder / f"{number:02}").mkdir(parents=True)
    image = make(tmp_path / "image", "-t", "ext4", "-O", "encrypt", folder=folder)
    debugfs(image, *(f"set_inode_field {number:02} flags 0x80800" for number in range(30)))
    with opened(image) as filesystem:
        assert len(list(filesystem.walk())) == 32
        assert len(filesystem.notes) == 21
        assert filesystem.notes[-1].startswith("More than these 20 are encrypted")


def _block_of(image: Path, path: str) -> int:
    return int(debugfs(image, f"blocks {path}").split("\n")[1].split()[0])


@pytest.mark.parametrize("place", ["inode", "directory", "superblock", "group"])
def test_wrong_checksums(tree: Path, tmp_path: Path, place: str) -> None:
    image = make(tmp_path / "image", "-t", "ext4", "-b", "4096", folder=tree)
    data = image.read_bytes()
    match place:
        case "inode":
            located = debugfs(image, "imap d/e")
            block, offset = located.split("located at block ")[1].split(", offset ")
            position = int(block) * 4096 + int(offset, 16) + 16
        case "directory":
            position = _block_of(image, "d") * 4096 + 100
        case "superblock":
            position = 1024 + 0x78
        case _:
            position = 4096 + 12
    patch(image, position, bytes([data[position] ^ 1]))
    with pytest.raises(FilesystemError, match="checksum"):
        use(image)
