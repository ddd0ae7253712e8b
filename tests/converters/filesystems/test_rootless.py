"""Of disks without a Linux root a person is told what they hold, and what to do next."""

from __future__ import annotations

import gzip
import subprocess
from pathlib import Path

import pytest

from converters.disks import detect, open_disk
from converters.errors import ConvertError, DiskError, UnsupportedError
from converters.filesystems.mounts import open_guest
from converters.reading import Reading
from converters.volumes.luks.keys import KeyFolder

MIB = 1 << 20
IN_PROCESS = Reading(("ext2fs", "xfs", "btrfs"))
KEY = b"correct horse"


def told(path: Path, reading: Reading = IN_PROCESS, keys: Path | None = None) -> ConvertError:
    """What comes of a conversion of this disk."""
    with pytest.raises(ConvertError) as raised:
        open_guest([detect(str(path))], path.parent, reading, KeyFolder(keys))
    return raised.value


def marked(path: Path, *marks: tuple[int, bytes]) -> Path:
    """A disk of 16 MiB with these bytes in it."""
    with path.open("wb") as file:
        file.truncate(16 * MIB)
        for offset, data in marks:
            file.seek(offset)
            file.write(data)
    return path


@pytest.mark.parametrize(
    ("marks", "message", "hint"),
    [
        (((32769, b"CD001"),), "disk 0 holds iso9660", "the machine that was installed from it"),
        (((0, b"hsqs"), (28, b"\4\0")), "disk 0 holds squashfs", "unsquashfs"),
        (((3, b"NTFS    "), (510, b"\x55\xaa")), "disk 0 holds ntfs", "a machine with Windows alone"),
        ((), "disk 0 holds no partition table and no file system", "blkid -p DISK"),
        (((512, b"\x57\x45\x56\x82"),), "Disk 0: the disk has a partition table of BSD", "blkid -p DISK"),
    ],
)
def test_what_else_there_is(
    tmp_path: Path, marks: tuple[tuple[int, bytes], ...], message: str, hint: str
) -> None:
    error = told(marked(tmp_path / "disk.img", *marks))
    assert message in error.message
    assert hint in error.hint


def test_a_file_that_is_not_what_it_is_called(tmp_path: Path) -> None:
    error = told(marked(tmp_path / "disk.qcow2"))
    assert "Disk 0: disk.qcow2 is no image of the format qcow2, so it was read as a raw disk" in error.message
    assert "is no image" not in told(marked(tmp_path / "disk-flat.vmdk")).message


def test_an_engine_that_is_switched_off(tmp_path: Path) -> None:
    path = marked(tmp_path / "disk.img")
    subprocess.run(["mkfs.ext4", "-q", path], check=True)
    error = told(path, Reading(("xfs",)))
    assert isinstance(error, UnsupportedError)
    assert "disk 0 (ext4) cannot be read: ext2fs: it is switched off" in error.message
    assert error.hint == "allow the engine that reads it: --engines"


def test_keys(tmp_path: Path) -> None:
    """None, the wrong one, and the right one of a volume with nothing in it."""
    path, right, wrong = tmp_path / "disk.img", tmp_path / "right", tmp_path / "wrong"
    with path.open("wb") as file:
        file.truncate(32 * MIB)
    fast = ["--type", "luks1", "--pbkdf-force-iterations", "1000", "--key-file", "-"]
    subprocess.run(["cryptsetup", "luksFormat", "-q", *fast, path], input=KEY, check=True)
    shown = subprocess.run(["cryptsetup", "luksUUID", path], check=True, capture_output=True, text=True)
    uuid = shown.stdout.strip()
    for folder, key in ((right, KEY), (wrong, b"battery staple")):
        folder.mkdir()
        (folder / uuid).write_bytes(key)
    assert "give its key" in told(path).hint
    error = told(path, keys=wrong)
    assert "that was given opens none of its 1 key slots" in error.message
    assert "must hold the passphrase, or the key file's bytes, exactly" in error.message
    assert "mend that" in error.hint
    error = told(path, keys=right)
    assert f"/dev/mapper/luks-{uuid} holds no file system" in error.message
    assert "key" not in error.hint
    assert "cannot be read: No such file" in told(path, keys=tmp_path / "absent").message


def test_a_gzip_stream_of_nothing_is_told_by_its_own_name(tmp_path: Path) -> None:
    path = tmp_path / "disk.gz"
    path.write_bytes(gzip.compress(b""))
    with pytest.raises(DiskError, match=f"the gzip stream {path} holds nothing"):
        open_disk(detect(str(path)))


def test_a_vmdk_of_noise(tmp_path: Path) -> None:
    path = tmp_path / "disk.vmdk"
    path.write_bytes(b"KDMV" + bytes(range(255, 0, -1)) * 40)
    with pytest.raises(DiskError, match="its header is damaged: version 4244504319"):
        open_disk(detect(str(path)))
