"""Recovery by user-mode Linux against the host kernel's own replay of the same images."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from converters.disks.overlay import CowDisk
from converters.disks.raw import RawDisk
from converters.filesystems import initrd
from converters.filesystems.ext import ExtFilesystem
from converters.filesystems.uml import (
    RecoveryError,
    RecoveryLimits,
    recover,
)
from converters.filesystems.xfs import XfsFilesystem
from tests.converters.filesystems.journals import FILES, NEW, busy_image
from tests.kernel import kernel_entries, kernel_hashes, mounted, needs_root, reader_hashes

MIB = 1 << 20
CASES = Path(__file__).parents[4] / "shared/cases"
needs_cases = pytest.mark.skipif(
    not CASES.exists(), reason="the folder shared/cases is not beside the checkout"
)


def _empty(path: Path, size: int) -> Path:
    with open(path, "wb") as file:
        file.truncate(size)
    return path


def _mark(offset: int) -> int:
    """A byte of a disk of 64 MiB that processes are found by: others may test at the same time."""
    return offset + os.getpid() % 60_000 * 1024


def _processes(word: str) -> list[int]:
    """Processes that have ``word`` among their arguments."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if word.encode() in arguments:
            found.append(int(folder.name))
    return found


def _await_none(start: int) -> None:
    """Wait until no process of a recovery from ``start`` is left: the last ones are killed, and die soon."""
    deadline = time.monotonic() + 10
    while (left := _processes(f"recovery_start={start}")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == []


@pytest.mark.root
@needs_root
@pytest.mark.parametrize("fstype", ["ext3", "ext4"])
def test_recovered_ext_is_the_kernels_replay(tmp_path: Path, fstype: str) -> None:
    size = 64 * MIB
    busy = busy_image(_empty(tmp_path / "disk", size + 2 * MIB), fstype, offset=MIB, size=size)
    before = hashlib.sha256(busy.read_bytes()).digest()

    recovered = recover(busy, MIB, fstype, tmp_path / "cow")

    assert hashlib.sha256(busy.read_bytes()).digest() == before
    assert 0 < recovered.written < 4 * MIB
    assert recovered.notes == ()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cow", "disk", "disk.busy"]
    disk = CowDisk(RawDisk(str(busy)), str(recovered.cow))
    with ExtFilesystem(disk, MIB, size) as fs:
        assert not fs.needs_recovery
        entries = list(fs.walk())
        hashes = reader_hashes(fs, entries)
    disk.close()
    assert hashes[b"etc/config"] == hashlib.sha256(NEW).hexdigest()
    assert len(hashes) == FILES + 2
    with mounted(busy, fstype, offset=MIB, size=size, options="rw,noatime") as root:
        assert entries == kernel_entries(root)
        assert hashes == kernel_hashes(root)


@pytest.mark.root
@needs_root
@pytest.mark.parametrize("frozen", [False, True])
def test_recovered_xfs_is_clean_and_the_kernels_replay(tmp_path: Path, frozen: bool) -> None:
    size = 320 * MIB
    busy = busy_image(_empty(tmp_path / "disk", size + 2 * MIB), "xfs", offset=MIB, size=size, frozen=frozen)
    base = RawDisk(str(busy))
    with XfsFilesystem(base, MIB, size) as fs:
        assert fs.needs_recovery
    recovered = recover(busy, MIB, "xfs", tmp_path / "cow")
    disk = CowDisk(base, str(recovered.cow))
    with XfsFilesystem(disk, MIB, size) as fs:
        assert not fs.needs_recovery
        entries = list(fs.walk())
        hashes = reader_hashes(fs, entries)
    disk.close()
    with mounted(busy, "xfs", offset=MIB, size=size, options="rw,noatime,nouuid") as root:
        assert entries == kernel_entries(root)
        assert hashes == kernel_hashes(root)
    assert sum(name.startswith(b"srv/") for name in hashes) == FILES + 1


def _case(name: str, folder: Path) -> Path:
    for path in (CASES / "EXT-02/tests" / name).glob("image.*"):
        unpack = bz2.decompress if path.suffix == ".bz2" else gzip.decompress
        (folder / name).write_bytes(unpack(path.read_bytes()))
    return folder / name


def _expected(name: str) -> dict[bytes, str]:
    lines = (CASES / "EXT-expected" / f"{name}.after.sha256").read_bytes().splitlines()
    return {line[64:].strip().removeprefix(b"./"): line[:64].decode() for line in lines}


def _recovered_tree(image: Path) -> tuple[list[bytes], dict[bytes, str]]:
    """Paths and hashes of a recovered ext4 on a whole disk, but for what mkfs made."""
    with ExtFilesystem(RawDisk(str(image))) as fs:
        assert fs.needs_recovery
    recovered = recover(image, 0, "ext4", image.with_suffix(".cow"))
    disk = CowDisk(RawDisk(str(image)), str(recovered.cow))
    with ExtFilesystem(disk) as fs:
        assert not fs.needs_recovery
        entries = [entry for entry in fs.walk() if entry.path not in (b"", b"lost+found")]
        hashes = reader_hashes(fs, entries)
    disk.close()
    return [entry.path for entry in entries], hashes


@needs_cases
def test_journal_with_64_bit_tags_and_revoked_blocks(tmp_path: Path) -> None:
    _, hashes = _recovered_tree(_case("f_jnl_64bit", tmp_path))
    assert len(hashes) == 1206
    assert hashes == _expected("f_jnl_64bit")


@needs_cases
def test_journal_with_checksums_of_version_3(tmp_path: Path) -> None:
    paths, _ = _recovered_tree(_case("j_recover_csum3_64bit", tmp_path))
    assert paths == [b"a", b"a/b", b"a/b/c"]


@needs_cases
def test_corrupt_journal_is_replayed_up_to_its_last_good_commit(tmp_path: Path) -> None:
    image = _case("j_corrupt_journal_block", tmp_path)
    recovered = recover(image, 0, "ext4", tmp_path / "cow")
    disk = CowDisk(RawDisk(str(image)), str(recovered.cow))
    with ExtFilesystem(disk) as fs:
        assert not fs.needs_recovery
        hashes = reader_hashes(fs, fs.walk())
    disk.close()
    assert hashes == {b"a": "3d932916213c7244c0d2a9a03d94635c1faa8cc17ad8ba273bab3afc5c19221e"}
    assert "JBD2: Invalid checksum recovering data block 1090 in log" in recovered.notes
    assert (
        recovered.notes[-1] == "the kernel refused the journal; e2fsck replayed it up to the last good commit"
    )


@needs_cases
def test_corrupt_journal_without_e2fsck_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(initrd, "E2FSCK", tmp_path / "missing")
    image = _case("j_corrupt_journal_block", tmp_path)
    with pytest.raises(RecoveryError, match=r"did not mount the file system.*error loading journal"):
        recover(image, 0, "ext4", tmp_path / "cow")
    assert not (tmp_path / "cow").exists()


def test_garbage_is_not_mounted(tmp_path: Path) -> None:
    image = tmp_path / "garbage"
    image.write_bytes(os.urandom(MIB))
    with pytest.raises(RecoveryError, match="did not mount the file system"):
        recover(image, 0, "xfs", tmp_path / "cow")
    assert [path.name for path in tmp_path.iterdir()] == ["garbage"]


def test_type_that_this_kernel_does_not_recover(tmp_path: Path) -> None:
    with pytest.raises(RecoveryError, match="does not recover btrfs"):
        recover(_empty(tmp_path / "disk", MIB), 0, "btrfs", tmp_path / "cow")


def test_disk_too_large_for_the_memory(tmp_path: Path) -> None:
    with pytest.raises(RecoveryError, match="large takes 2208 MiB of memory, more than 1536"):
        recover(_empty(tmp_path / "disk", 8 << 40), 0, "ext4", tmp_path / "cow")


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (RecoveryLimits(seconds=0.1), "did not end within 0.1 seconds"),
        (RecoveryLimits(console_bytes=1), "more than 1 bytes to its console"),
        (RecoveryLimits(written_bytes=1), "changed more than 1 bytes of the disk"),
    ],
)
def test_limits_end_it_and_leave_nothing(tmp_path: Path, limits: RecoveryLimits, said: str) -> None:
    image = tmp_path / "disk"
    subprocess.run(["mkfs.ext4", "-q", image, "64M"], check=True)
    start = _mark(512)  # no file system there
    with pytest.raises(RecoveryError, match=said):
        recover(image, start, "ext4", tmp_path / "cow", limits)
    assert [path.name for path in tmp_path.iterdir()] == ["disk"]
    _await_none(start)


def test_death_of_the_caller_ends_every_process(tmp_path: Path) -> None:
    """The first process of user-mode Linux is not the only one: none may outlive a killed worker."""
    image = tmp_path / "disk"
    subprocess.run(["mkfs.ext4", "-q", image, "64M"], check=True)
    start = _mark(1024)
    code = (
        "import sys; from pathlib import Path; from converters.filesystems.uml import recover;"
        "folder = Path(sys.argv[1]); recover(folder / 'disk', int(sys.argv[2]), 'ext4', folder / 'cow')"
    )
    with subprocess.Popen([sys.executable, "-c", code, tmp_path, str(start)]) as caller:
        deadline = time.monotonic() + 20
        while len(_processes(f"recovery_start={start}")) < 4 and time.monotonic() < deadline:
            time.sleep(0.005)
        running = _processes(f"recovery_start={start}")
        caller.send_signal(signal.SIGKILL)
    assert len(running) >= 4
    _await_none(start)
