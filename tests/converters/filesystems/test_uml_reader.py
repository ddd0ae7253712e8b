"""A file system as user-mode Linux reads it is what the host's kernel shows, or what was put into it."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from converters.errors import ConvertError, FilesystemError
from converters.filesystems.base import Entry, Kind
from converters.filesystems.uml import agent_files, wire
from converters.filesystems.uml.ranges import Range
from converters.filesystems.uml.reader import UmlFilesystem
from converters.filesystems.uml.session import FILESYSTEM_MODULES, Session, SessionLimits
from tests.converters.filesystems.journals import FILES, busy_image
from tests.converters.volumes.builder import made
from tests.kernel import kernel_entries, kernel_hashes, mounted, needs_root, reader_hashes
from tests.trees import fill

MIB = 1 << 20
SIZE = 384 * MIB
START = 3 * MIB
FILL = r"""
mount -t %(type)s -o %(options)s /dev/ubda /mnt
cd /mnt
mkdir -p folder/below 'name with blanks' many
i=0; while [ $i -lt 300 ]; do echo $i > many/file-$i; i=$((i+1)); done
echo content > folder/below/file
ln folder/below/file hard-link
ln -s folder/below/file soft-link
ln -s /nowhere/$(yes x | head -n 120 | tr -d '\n') long-link
mknod fifo p
mknod null c 1 3
mknod disk b 8 17
chmod 4751 folder/below/file
chmod 1777 folder
chown 4000000:3000000 many
printf 'start' > holes
dd if=/dev/zero of=holes bs=1 count=1 seek=5000000 conv=notrunc
touch -d "2001-02-03 04:05:06" hard-link
cd /
umount /mnt
"""


def _read(
    path: Path, start: int, size: int, type: str, scratch: Path
) -> tuple[list[Entry], dict[bytes, str]]:
    modules = FILESYSTEM_MODULES.get(type, ())
    with Session([Range(path, start, size)], scratch, modules=modules) as machine:
        filesystem = UmlFilesystem(machine, "/dev/loop0", type)
        entries = list(filesystem.walk())
        return entries, reader_hashes(filesystem, entries)


@pytest.mark.root
@pytest.mark.slow
@needs_root
@pytest.mark.parametrize("type", ["ext4", pytest.param("btrfs", marks=pytest.mark.long)])
def test_the_tree_is_the_kernels(tmp_path: Path, type: str) -> None:
    """At an offset in a larger disk, with all that an inode can have."""
    part = tmp_path / "part"
    with open(part, "wb") as file:
        file.truncate(SIZE)
    force = "-f" if type == "btrfs" else "-F"
    subprocess.run([f"mkfs.{type}", "-q", force, part], check=True)
    with mounted(part, type, options="rw") as root:
        fill(root, many=1500)
    path = tmp_path / "disk"
    with open(path, "wb") as file:
        file.truncate(START + SIZE + 512)
    command = ["dd", f"if={part}", f"of={path}", f"seek={START}", "bs=1M", "oflag=seek_bytes"]
    subprocess.run([*command, "conv=notrunc,sparse"], check=True, capture_output=True)
    part.unlink()
    before = hashlib.sha256(path.read_bytes()).digest()
    entries, hashes = _read(path, START, SIZE, type, tmp_path)
    assert hashlib.sha256(path.read_bytes()).digest() == before
    with mounted(path, type, offset=START, size=SIZE) as root:
        assert entries == kernel_entries(root)
        assert hashes == kernel_hashes(root)
    assert [item.name for item in tmp_path.iterdir()] == ["disk"]


@pytest.mark.root
@pytest.mark.long
@needs_root
def test_a_dirty_file_system_is_read_as_after_its_replay(tmp_path: Path) -> None:
    with open(tmp_path / "disk", "wb") as file:
        file.truncate(SIZE)
    busy = busy_image(tmp_path / "disk", "xfs", size=SIZE)
    entries, hashes = _read(busy, 0, SIZE, "xfs", tmp_path)
    with mounted(busy, "xfs", size=SIZE, options="rw,noatime,nouuid") as root:
        assert entries == kernel_entries(root)
        assert hashes == kernel_hashes(root)
    assert sum(name.startswith(b"srv/") for name in hashes) == FILES + 1


MAKERS = {
    "jfs": ("mkfs.jfs -q {}", "rw"),
    "reiserfs": ("mkreiserfs -q -f -f {}", "user_xattr,acl"),
}


@pytest.mark.parametrize("type", ["reiserfs", pytest.param("jfs", marks=pytest.mark.long)])
def test_file_systems_that_only_this_kernel_reads(tmp_path: Path, type: str) -> None:
    maker, options = MAKERS[type]
    program = maker.split()[0]
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    script = FILL % {"type": type, "options": options}
    path = made(type, [96 * MIB], script, prepare=maker) / "a"
    entries, hashes = _read(path, 0, path.stat().st_size, type, tmp_path)
    by_path = {entry.path: entry for entry in entries}
    assert [entry.path for entry in entries] == sorted(by_path, key=lambda path: path.split(b"/"))
    assert {path for path in by_path if path.startswith(b"many/")} == {
        b"many/file-%d" % n for n in range(300)
    }
    assert hashes[b"many/file-77"] == hashlib.sha256(b"77\n").hexdigest()
    assert hashes[b"holes"] == hashlib.sha256(b"start".ljust(5_000_001, b"\0")).hexdigest()
    file, link = by_path[b"folder/below/file"], by_path[b"hard-link"]
    assert (file.mode, file.nlink, file.mtime_ns) == (0o4751, 2, 981173106 * 10**9)
    assert link == file._replace(path=b"hard-link")
    assert by_path[b"soft-link"].target == b"folder/below/file"
    assert by_path[b"long-link"].target == b"/nowhere/" + b"x" * 120
    assert (by_path[b"many"].uid, by_path[b"many"].gid) == (4_000_000, 3_000_000)
    assert by_path[b"folder"].mode == 0o1777
    kinds = {
        name: (by_path[name].kind, by_path[name].major, by_path[name].minor) for name in (b"null", b"disk")
    }
    assert kinds == {b"null": (Kind.CHARACTER, 1, 3), b"disk": (Kind.BLOCK, 8, 17)}
    assert by_path[b"fifo"].kind is Kind.FIFO
    assert b"name with blanks" in by_path


@pytest.fixture
def image(tmp_path: Path) -> Path:
    (tmp_path / "tree/folder").mkdir(parents=True)
    (tmp_path / "tree/folder/file").write_bytes(b"content")
    (tmp_path / "tree/link").symlink_to("folder")
    path = tmp_path / "image"
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", tmp_path / "tree", path, "16M"], check=True)
    return path


@pytest.fixture
def machine(image: Path, tmp_path: Path) -> Iterator[Session]:
    with Session([Range(image, 0, image.stat().st_size)], tmp_path) as running:
        yield running


def test_lookup_follows_no_link(machine: Session) -> None:
    filesystem = UmlFilesystem(machine, "/dev/loop0", "ext4")
    entry = filesystem.lookup(b"folder/file")
    assert entry is not None
    assert b"".join(filesystem.read(entry)) == b"content"
    assert filesystem.lookup(b"link/file") is None
    assert filesystem.lookup(b"folder/file/deeper") is None
    assert filesystem.lookup(b"nowhere") is None
    root = filesystem.lookup(b"")
    assert root is not None and root.path == b"" and root.kind is Kind.DIRECTORY
    assert [found.path for found in filesystem.walk(b"folder")] == [b"folder", b"folder/file"]


def test_what_is_no_file_system_is_refused_and_the_machine_goes_on(machine: Session) -> None:
    with pytest.raises(FilesystemError, match=r"mount -t xfs .* ended with"):
        UmlFilesystem(machine, "/dev/loop0", "xfs")
    assert UmlFilesystem(machine, "/dev/loop0", "ext4").lookup(b"folder") is not None


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        (SessionLimits(start_seconds=0.05), "does not answer in time"),
        (SessionLimits(console_bytes=1), "wrote more than 1 bytes to its console"),
        (SessionLimits(memory_mib=100), "takes 513 MiB of memory, more than 100"),
    ],
)
def test_limits_end_it_and_leave_nothing(
    image: Path, tmp_path: Path, limits: SessionLimits, says: str
) -> None:
    with pytest.raises(ConvertError, match=says):
        Session([Range(image, 0, 16 * MIB)], tmp_path, limits=limits)
    assert {path.name for path in tmp_path.iterdir()} == {"image", "tree"}


def test_a_kernel_that_is_not_there(image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("converters.filesystems.uml.machine.KERNEL", "linux.uml-of-nobody")
    with pytest.raises(ConvertError, match=r"`linux\.uml-of-nobody` is not installed"):
        Session([Range(image, 0, 16 * MIB)], tmp_path)


class Answers(Session):
    """A machine that says what it likes, as one ruled by a hostile file system may."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def mount(self, device: str, type: str, options: str) -> str:
        return "/mnt"

    def look(self, root: bytes, path: bytes) -> bytes:
        return self._data


def _status(name: bytes, mode: int = stat.S_IFREG | 0o644, attributes: int = 0, target: int = 0) -> bytes:
    head = wire.STATUS.pack(1, 2, mode, 1, 0, 0, 0, 0, 0, 0, 0, attributes, len(name), target)
    return head + name


@pytest.mark.parametrize(
    "answer",
    [
        _status(b"../../etc/passwd"),
        _status(b".."),
        _status(b""),
        _status(b"a\0b"),
        _status(b"name", mode=0),
        _status(b"name", attributes=9),
        _status(b"name", target=1 << 30),
        _status(b"name")[:-1],
        _status(b"name")[:20],
    ],
)
def test_answers_that_make_no_sense_are_errors(answer: bytes) -> None:
    filesystem = UmlFilesystem(Answers(answer), "/dev/loop0", "ext4")
    with pytest.raises(FilesystemError, match="makes no sense"):
        filesystem.lookup(b"name")


class Paging(Answers):
    """A machine whose files are this one's."""

    def __init__(self, root: Path) -> None:
        super().__init__(_status(b".", mode=stat.S_IFDIR | 0o755))
        self._folders = agent_files.Folders()
        self._top = os.fsencode(root)
        self.pages = 0

    def children(self, folder: bytes, start: int) -> bytes:
        self.pages += 1
        path = self._top + folder.removeprefix(b"/mnt")
        return b"".join(data for _, data in self._folders.page(path, start))


def test_a_large_directory_is_read_in_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where this process is again afterwards
    for module in (agent_files, wire):
        monkeypatch.setattr(module, "PAGE_BYTES", 5000)
    monkeypatch.setattr(agent_files, "FRAME_BYTES", 1000)
    root = tmp_path / "root"
    for folder in ("", "a", "b"):
        (root / folder).mkdir(parents=True)
        for number in range(150):
            (root / folder / f"file-{number:03d}").touch()
    machine = Paging(root)
    paths = [entry.path for entry in UmlFilesystem(machine, "/dev/loop0", "ext4").walk()]
    inside = [f"file-{number:03d}".encode() for number in range(150)]
    expected = [b"", b"a", *(b"a/" + name for name in inside), b"b", *(b"b/" + name for name in inside)]
    assert paths == [*expected, *inside]
    assert machine.pages >= 6


def test_as_a_user_without_any_privilege(image: Path, tmp_path: Path) -> None:
    """No root, no capability, no network: as in a container."""
    code = (
        "import sys; from pathlib import Path;"
        "from converters.filesystems.uml.session import Range, Session;"
        "from converters.filesystems.uml.reader import UmlFilesystem;"
        "from converters.disks import RawFile; from converters.reading import Reading;"
        "from converters.reader import reach; from converters.reader.confine import confine;"
        "confine(4 << 30, reach.rules([RawFile(sys.argv[1])], Reading(), sys.argv[2]));"
        "image = Path(sys.argv[1]);\n"
        "with Session([Range(image, 0, image.stat().st_size)], Path(sys.argv[2])) as machine:\n"
        "    print(len(list(UmlFilesystem(machine, '/dev/loop0', 'ext4').walk())))"
    )
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    scratch.chmod(0o777)
    image.chmod(0o644)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o711)
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]
    user += ["--bounding-set=-all", "--no-new-privs", "--"]
    environment = {"PATH": "/usr/bin:/bin:/sbin", "PYTHONPATH": ":".join(filter(None, sys.path))}
    environment["TMPDIR"] = str(scratch)
    command = [*(user if os.geteuid() == 0 else []), "/usr/bin/python3", "-c", code, str(image), str(scratch)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "5"), done.stderr
    assert list(scratch.iterdir()) == []
