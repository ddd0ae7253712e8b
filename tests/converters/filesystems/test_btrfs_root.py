"""A root on btrfs is found without starting an appliance that could only tell of more subvolumes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from converters.disks import RawFile
from converters.filesystems.engines import Engine
from converters.filesystems.guestfs import Appliance
from converters.filesystems.mounts import open_guest
from converters.reading import Reading
from tests.converters.filesystems.guest_disks import fill, root_files


def test_no_appliance_for_a_root_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def started(self: Appliance) -> None:
        raise AssertionError("the appliance was started")

    monkeypatch.setattr(Appliance, "devices", started)
    tree, image = tmp_path / "tree", tmp_path / "image"
    tree.mkdir()
    fill(tree, root_files("# the disk is the root\n"))
    with open(image, "wb") as file:
        file.truncate(128 << 20)
    subprocess.run(["mkfs.btrfs", "-q", "-f", "--rootdir", tree, image], check=True, capture_output=True)
    engines = tuple(str(engine) for engine in Engine)
    with open_guest([RawFile(str(image))], tmp_path, Reading(engines)) as guest:
        assert [point.engine for point in guest.mounts] == ["btrfs"]
