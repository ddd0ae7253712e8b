"""The reading process on real disks: what it gives, how it fails, and that nothing of it stays."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from converters.disks import ImageFile, RawFile, detect
from converters.errors import (
    ConvertError,
    DefectError,
    DiskError,
    FilesystemError,
    LimitError,
    NoLinuxError,
    ReaderDiedError,
    ScratchFullError,
)
from converters.guest.facts import Directory
from converters.image.tar import LARGEST_FILE
from converters.reader.failures import error_of, failure_of
from converters.reader.limits import DISKS_TIMES, LARGEST_DISK, tree_limit
from converters.reader.parent import Reader
from converters.reading import Reading
from deploy.demo import guests
from tests.waiting import until

IN_PROCESS = Reading(engines=("ext2fs",))


@contextmanager
def reading(disk: Path, scratch: Path, how: Reading = IN_PROCESS) -> Iterator[tuple[Reader, int]]:
    """A reader and its process id; afterwards the process must be gone and the scratch folder empty."""
    before = children()
    try:
        with Reader([detect(str(disk))], how, scratch) as reader:
            (pid,) = children() - before
            yield reader, pid
    finally:
        assert children() == before
        assert not list(scratch.iterdir())


def children() -> set[int]:
    """Process ids of this process's children, those not yet reaped included."""
    tasks = Path("/proc/self/task").iterdir()
    return {int(pid) for task in tasks for pid in (task / "children").read_text().split()}


def peak_mib(pid: int) -> int:
    """Largest address space that a process has had."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(status["VmPeak"].split()[0]) >> 10


def test_it_tells_the_guest_then_gives_its_tree(tmp_path: Path) -> None:
    with reading(guests.small().raw, tmp_path) as (reader, _):
        inspection = reader.inspect()
        assert inspection.guest.hostname == "tiny"
        assert [mount.path for mount in inspection.mounts] == ["/"]
        asked = (Directory("/run/web", 0o750, 7, 8, "test"), Directory("/etc", 0o700, 9, 9, "test"))
        archive = b"".join(reader.tar(asked))
        summary = reader.summary
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        members = {member.name: member for member in tar}
        page = tar.extractfile("srv/www/index.html")
        assert page is not None
        assert page.read().decode() == guests.small().page + "\n"
    assert summary.entries == len(members)
    assert (members["run/web"].mode, members["run/web"].uid, members["run/web"].gid) == (0o750, 7, 8)
    assert members["etc"].uid == 0  # the guest has this one
    assert {removal.name for removal in summary.removals} == {"lost-found"}


def test_a_parent_that_only_wants_to_know_the_guest(tmp_path: Path) -> None:
    with reading(guests.small().raw, tmp_path) as (reader, _):
        assert reader.inspect().guest.release.id == "debian"


def test_a_parent_that_stops_in_the_middle_of_the_tree(tmp_path: Path) -> None:
    with reading(guests.small(payload=16 << 20).raw, tmp_path) as (reader, _):
        reader.inspect()
        assert next(reader.tar())
        with pytest.raises(ReaderDiedError, match="not read to its end"):
            _ = reader.summary


@pytest.mark.parametrize(
    ("guest", "error", "message"),
    [
        (guests.windows, NoLinuxError, "ntfs"),
        (guests.garbage, NoLinuxError, "no Linux root file system"),
    ],
)
def test_errors_keep_class_and_words(
    guest: Callable[[], guests.Guest], error: type[ConvertError], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message) as caught, reading(guest().raw, tmp_path) as (reader, _):
        reader.inspect()
    assert type(caught.value) is error


def test_a_disk_that_is_missing_keeps_its_hint(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with (
        Reader([RawFile(str(tmp_path / "gone.raw"))], IN_PROCESS, scratch) as reader,
        pytest.raises(DiskError, match=r"gone\.raw") as caught,
    ):
        reader.inspect()
    assert caught.value.hint
    assert not list(scratch.iterdir())


def test_a_damaged_tree_is_an_error_before_anything_is_given(tmp_path: Path) -> None:
    scratch, disk = tmp_path / "scratch", tmp_path / "disk.raw"
    scratch.mkdir()
    content = guests.small().raw.read_bytes()
    # The directory entry's inode number lies eight bytes before the name.
    place = content.index(b"033.txt") - 8
    disk.write_bytes(content[:place] + (0xFFFFFF).to_bytes(4, "little") + content[place + 4 :])
    with pytest.raises(FilesystemError, match="ext2fs"), reading(disk, scratch) as (reader, _):
        reader.inspect()


def test_it_runs_confined(tmp_path: Path) -> None:
    with reading(guests.small().raw, tmp_path, Reading(("ext2fs",), memory_bytes=333 << 20)) as (reader, pid):
        reader.inspect()
        process = Path(f"/proc/{pid}")
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        assert (status["Seccomp"].strip(), status["NoNewPrivs"].strip()) == ("2", "1")
        limits = (process / "limits").read_text()
        assert f"{333 << 20}" in next(line for line in limits.splitlines() if "address space" in line)
        names = {word.partition(b"=")[0] for word in (process / "environ").read_bytes().split(b"\0") if word}
        assert names <= {b"PATH", b"LC_ALL", b"TMPDIR", b"XDG_RUNTIME_DIR"}


def test_memory_has_a_limit_that_is_told(tmp_path: Path) -> None:
    disk = guests.small(payload=16 << 20).raw
    with reading(disk, tmp_path) as (reader, pid):
        reader.inspect()
        inspected = peak_mib(pid)
        tree = reader.tar()
        size = 0
        while size < 12 << 20:
            size += len(next(tree))
        needed = peak_mib(pid)
    assert needed > inspected + 1
    limit = needed - 1
    tight = Reading(("ext2fs",), memory_bytes=limit << 20)
    wanted = f"reading the disk needs more than the {limit} MiB it may use .*--reader-memory"
    with pytest.raises(LimitError, match=wanted), reading(disk, tmp_path, tight) as (reader, _):
        reader.inspect()
        for _ in reader.tar():
            pass


def test_a_tree_that_takes_more_than_it_may_is_not_read_on(tmp_path: Path) -> None:
    limited = Reading(("ext2fs",), tree_bytes=8 << 20)
    disk = guests.small(payload=16 << 20).raw
    size = 0
    with pytest.raises(LimitError, match="--reader-tree"), reading(disk, tmp_path, limited) as (reader, _):
        reader.inspect()
        for piece in reader.tar():
            size += len(piece)
    assert 4 << 20 < size <= 8 << 20


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("tree.lookup(b'etc').no_such", "AttributeError: .*'no_such'"),
        ("int('three\x1b')", r"ValueError: .*'three\\x1b'"),
        ("[][0]", "IndexError: list index out of range"),
    ],
)
def test_a_defect_is_told_as_what_it_is_and_not_tried_again(
    fault: str, words: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    code = (
        "import sys; from converters.reader import child\n"
        f"child.inspect = lambda tree: {fault}\n"
        "sys.exit(child.main())"
    )
    command = (sys.executable, "-I", "-c", code)
    place = r"\(converters/reader/child\.py:\d+, in serve\)"
    with (
        Reader([RawFile(str(guests.small().raw))], IN_PROCESS, tmp_path, command) as reader,
        pytest.raises(DefectError, match=rf"internal error: {words} {place}") as caught,
    ):
        reader.inspect()
    assert not caught.value.retryable
    assert "report it" in caught.value.hint
    assert "Traceback (most recent call last)" in caplog.text


def test_a_full_scratch_folder_is_told_as_that(tmp_path: Path) -> None:
    failure = failure_of(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), 1 << 30)
    assert isinstance(error_of(failure), ScratchFullError)


def test_the_limit_of_a_tree_follows_its_disks(tmp_path: Path) -> None:
    disk = tmp_path / "disk.raw"
    with disk.open("wb") as file:
        file.truncate(5 << 30)
    one, two = (tree_limit([RawFile(str(disk))] * count) for count in (1, 2))
    assert one > LARGEST_FILE, "a sparse file of the largest size fits, beside all else"
    assert two - one == DISKS_TIMES * (5 << 30)
    assert tree_limit([ImageFile(str(disk), "qcow2")]) > LARGEST_DISK, "it may be thin"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_process_that_is_killed(number: signal.Signals, tmp_path: Path) -> None:
    with (
        pytest.raises(ReaderDiedError, match=f"the reading process died: .*{number.name}") as caught,
        reading(guests.small(payload=16 << 20).raw, tmp_path) as (reader, pid),
    ):
        reader.inspect()
        tree = reader.tar()
        next(tree)
        os.kill(pid, number)
        for _ in tree:
            pass
    assert caught.value.retryable
    assert ("memory" in caught.value.hint) is (number is signal.SIGKILL)


def test_a_process_that_stalls(tmp_path: Path) -> None:
    short = Reading(("ext2fs",), stall_seconds=0.5)
    with (
        pytest.raises(ReaderDiedError, match=r"no sign of life for 0\.5 seconds .*--reader-stall"),
        reading(guests.small(payload=16 << 20).raw, tmp_path, short) as (reader, pid),
    ):
        reader.inspect()
        os.kill(pid, signal.SIGSTOP)
        for _ in reader.tar():
            pass


@pytest.mark.root
def test_leaving_during_a_recovery_leaves_nothing(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("the dirty guest is made with a mount, which needs root")
    disk = guests.busy().raw
    with reading(disk, tmp_path, Reading(("ext2fs", "uml"))):
        until(lambda: kernels_below(tmp_path))
    until(lambda: not kernels_below(tmp_path))


def kernels_below(folder: Path) -> list[int]:
    """Process ids of user-mode Linux at work in ``folder``."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            is_kernel = (process / "comm").read_text() == "linux.uml\n"
            if is_kernel and (process / "cwd").readlink().is_relative_to(folder):
                found.append(int(process.name))
        except OSError:  # ended meanwhile
            continue
    return found
