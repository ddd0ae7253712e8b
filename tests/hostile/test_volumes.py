"""LVM's metadata that go round, or unfold without end: an answer soon, in little memory."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from converters.errors import ConvertError
from tests.converters.filesystems.guest_disks import fill, root_files
from tests.hostile import lvm_disks
from tests.hostile.lvm_disks import mirror, striped
from tests.hostile.watching import read

ROUND: Mapping[str, Mapping[str, list[str]]] = {
    "itself": {"root": [striped("root")]},
    "each other": {"root": [mirror("other", "other")], "other": [mirror("root")]},
    "stripes of itself": {"root": [striped("root", "root")]},
    "a chain of ten thousand": {f"v{i}": [striped(f"v{i + 1}")] for i in range(10_000)},
    "thousand times thousand times …": {
        f"v{depth}": [striped(f"v{depth + 1}" if depth < 5 else "pv0")] * 1000 for depth in range(6)
    },
    "outside the disk": {"root": [striped("pv0")] * 8},
}


@pytest.mark.parametrize("name", ROUND)
def test_metadata_without_end(name: str, scratch: Path, tmp_path: Path) -> None:
    disk = lvm_disks.make(tmp_path / "disk", ROUND[name])
    found = read(disk, scratch)
    assert isinstance(found.error, ConvertError)
    assert "no Linux root file system" in found.error.message
    assert found.seconds < 20
    assert found.peak_mib < 300


def test_honest_metadata_are_read(scratch: Path, tmp_path: Path) -> None:
    """So that the others fail for what they say, and not for how they are written."""
    disk = lvm_disks.make(tmp_path / "disk", {"root": [mirror("pv0")]})
    folder = tmp_path / "folder"
    folder.mkdir()
    fill(folder, root_files("/dev/hostile/root / ext4 defaults 0 1\n"))
    mke2fs = ["/sbin/mke2fs", "-q", "-F", "-t", "ext4", "-E", f"offset={4 << 20}", "-d", str(folder)]
    subprocess.run([*mke2fs, str(disk), "4M"], check=True, capture_output=True)
    found = read(disk, scratch)
    assert found.error is None
    assert found.inspection is not None
    assert found.inspection.mounts[0].device == "/dev/hostile/root"
