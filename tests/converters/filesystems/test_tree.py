"""Several file systems read as one: what is mounted where, bound to a second place, or hidden."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from converters.errors import FilesystemError
from converters.filesystems.base import Entry, Kind
from converters.filesystems.empty import EmptyFilesystem
from converters.filesystems.engines import Engine
from converters.filesystems.fstab import parse
from converters.filesystems.opener import VolumeOpener
from converters.filesystems.tree import MOST_NOTES, GuestTree
from converters.guest.facts import MountPoint
from converters.image.removals import RemovalTally
from converters.image.tar import tar_stream
from tests.directory_filesystem import DirectoryFilesystem
from tests.images import read_layer
from tests.kernel import kernel_entries, kernel_hashes, needs_root, reader_hashes


def point(path: str) -> MountPoint:
    return MountPoint(path, "disk 0", "directory", "test", recovered=False)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A root, and a data volume: files of both, hard links and a name that both have."""
    root, data = tmp_path / "root", tmp_path / "data"
    for path in (root, data):
        (path / "sub/deep").mkdir(parents=True)
        (path / "sub/file").write_text(path.name)
        os.link(path / "sub/file", path / "sub/deep/linked")
        (path / "sub/link").symlink_to("file")
    for name in ("srv", "export", "mnt", "zz", "tmp"):
        (root / name).mkdir()
        (root / name / "beneath").write_text(name)
    (root / "target").write_text("hidden")
    (data / "pub").mkdir()
    (data / "pub/song").write_text("song")
    return root, data


@pytest.fixture
def tree(tmp_path: Path, folders: tuple[Path, Path]) -> Iterator[GuestTree]:
    """The root with the data volume at /srv."""
    root, data = folders
    with GuestTree(VolumeOpener([], tmp_path, [Engine.EXT2FS])) as made:
        made.mount(b"", DirectoryFilesystem(root), point("/"))
        made.mount(b"srv", DirectoryFilesystem(data), point("/srv"))
        yield made


@contextmanager
def bound(root: Path, pairs: list[tuple[Path, Path]]) -> Iterator[None]:
    """The kernel's own bind mounts, kept from showing each other's where they were made before."""
    with ExitStack() as stack:
        for source, target in [(root, root), *pairs]:
            subprocess.run(["mount", "--bind", source, target], check=True)
            stack.callback(subprocess.check_call, ["umount", target])
            subprocess.run(["mount", "--make-private", target], check=True)
        yield


def by_names(entries: list[Entry]) -> list[tuple[object, ...]]:
    """What the kernel and the tree must say alike; numbers of file systems and of links differ."""
    return [
        (entry.path, entry.kind, entry.mode, entry.size, entry.mtime_ns, entry.target) for entry in entries
    ]


@pytest.mark.root
@needs_root
def test_bind_mounts_are_the_kernels(folders: tuple[Path, Path], tree: GuestTree) -> None:
    """A directory of another volume, a file, a directory with a mount in it, and all mounts below."""
    root, data = folders
    tree.bind(b"srv/pub", b"export")
    tree.bind(b"sub/file", b"target")
    tree.bind(b"", b"mnt")
    tree.bind(b"", b"zz")
    for path in (b"srv", b"export", b"target"):
        tree.bind(path, b"zz/" + path)
    entries = list(tree.walk())
    hashes = reader_hashes(tree, entries)
    for entry in entries:
        assert tree.lookup(entry.path) == entry
        assert next(tree.walk(entry.path)) == entry
    pairs = [
        (data, root / "srv"),
        (root / "srv/pub", root / "export"),
        (root / "sub/file", root / "target"),
        (root, root / "mnt"),
        (root, root / "zz"),
        *((root / name, root / "zz" / name) for name in ("srv", "export", "target")),
    ]
    with bound(root, pairs):
        assert by_names(entries) == by_names(kernel_entries(root))
        assert hashes == kernel_hashes(root)


def test_an_image_holds_a_bound_file_once(tmp_path: Path, tree: GuestTree) -> None:
    """Its second name is a link to the first, whatever volume both places are on."""
    tree.bind(b"srv/pub", b"export")
    tree.bind(b"sub", b"mnt")
    archive = tmp_path / "tar"
    archive.write_bytes(b"".join(tar_stream(tree.walk(), tree.read, RemovalTally())))
    members = read_layer(archive)
    assert members[b"srv/pub/song"].first_name == b"export/song"
    assert members[b"sub/file"].first_name == members[b"sub/deep/linked"].first_name == b"mnt/deep/linked"
    assert members[b"mnt/file"].first_name == b"mnt/deep/linked"
    assert members[b"srv/sub/file"].first_name == b"srv/sub/deep/linked"
    assert members[b"export/song"].sha256 == members[b"srv/pub/song"].sha256
    assert b"export/beneath" not in members
    assert members[b"tmp/beneath"].first_name == b""


def test_mount_points_tell_what_a_bind_mount_shows(tree: GuestTree) -> None:
    tree.bind(b"srv/pub", b"export")
    assert [(mount.path, mount.bound) for mount in tree.mounts] == [
        ("/", ""),
        ("/srv", ""),
        ("/export", "/srv/pub"),
    ]
    assert tree.mounted_below(b"") == [b"export", b"srv"]
    assert tree.mounted_below(b"sr") == []


def test_one_volume_at_two_places_is_one_file_system(folders: tuple[Path, Path], tree: GuestTree) -> None:
    filesystem = DirectoryFilesystem(folders[1])
    tree.mount(b"mnt", filesystem, point("/mnt"))
    tree.mount(b"zz", filesystem, point("/zz"))
    one, two = tree.lookup(b"mnt/pub/song"), tree.lookup(b"zz/pub/song")
    assert one is not None
    assert two is not None
    assert (one.device, one.inode) == (two.device, two.inode)
    assert one.nlink == two.nlink == 2
    assert one.device not in {entry.device for entry in tree.walk(b"srv")}


@pytest.mark.parametrize(
    ("options", "mode", "uid", "gid"),
    [
        ("defaults", 0o1777, 0, 0),
        ("mode=750,uid=33,gid=34,size=10%", 0o750, 33, 34),
        ("mode=0755,uid=www-data", 0o755, 0, 0),
        ("mode=9,uid=-1,gid=99999999999", 0o1777, 0, 0),
    ],
)
def test_memory_begins_empty(tree: GuestTree, options: str, mode: int, uid: int, gid: int) -> None:
    (line,), _ = parse(f"tmpfs /tmp tmpfs {options} 0 0".encode())
    tree.mount(b"tmp", EmptyFilesystem.from_options(line, 7), None)
    (entry,) = tree.walk(b"tmp")
    assert (entry.path, entry.kind, entry.mode, entry.uid, entry.gid, entry.mtime_ns) == (
        b"tmp",
        Kind.DIRECTORY,
        mode,
        uid,
        gid,
        7,
    )
    assert tree.lookup(b"tmp/beneath") is None
    assert tree.lookup(b"tmp") == entry
    assert [mount.path for mount in tree.mounts] == ["/", "/srv"]
    with pytest.raises(FilesystemError, match="no file"):
        tree.read(entry)


def test_notes_can_be_written(tree: GuestTree) -> None:
    """A name that is not UTF-8 is escaped: a report is text."""
    tree.note("caf\udce9")
    assert tree.notes == ("caf\\xe9",)


def test_notes_have_an_end(tree: GuestTree) -> None:
    for number in range(MOST_NOTES + 7):
        tree.note(f"line {number} is broken")
    assert len(tree.notes) == MOST_NOTES + 1
    assert tree.notes[-1] == "7 more remarks are left out."
