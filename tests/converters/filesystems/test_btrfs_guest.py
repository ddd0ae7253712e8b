"""Guests on btrfs as distributions lay them out: which subvolume is the root, and where the others are."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from converters.disks import RawFile
from converters.filesystems.mounts import open_guest
from converters.reading import Reading
from tests.converters.filesystems.btrfs_images import make, mounted_pool, subvolume
from tests.kernel import needs_root

pytestmark = [pytest.mark.root, needs_root]

READING = Reading(engines=("btrfs",))
UUID = str(uuid.uuid4())
"""The kernel mounts no two file systems of one UUID, and tests run beside each other."""


def root(folder: Path, fstab: str) -> None:
    """A Linux root as far as it is told from other directories."""
    for name in ("etc", "usr", "var", "home", "srv"):
        (folder / name).mkdir()
    (folder / "etc/os-release").write_text("ID=sample\n")
    (folder / "etc/fstab").write_text(fstab)


def suse(top: Path) -> None:
    """SUSE Linux Enterprise: the default subvolume is a snapshot; a line of fstab for each other one."""
    subvolume("create", top / "@")
    for name in ("var", "home", "srv", ".snapshots"):
        subvolume("create", top / "@" / name)
        (top / "@" / name / f"in-{name}").write_text(name)
    (top / "@/.snapshots/1").mkdir()
    subvolume("create", top / "@/.snapshots/1/snapshot")
    names = ("var", "home", "srv", ".snapshots")
    lines = [f"UUID={UUID} /{name} btrfs subvol=/@/{name} 0 0" for name in names]
    running = top / "@/.snapshots/1/snapshot"
    root(running, "\n".join([f"UUID={UUID} / btrfs defaults 0 0", *lines, ""]))
    (running / ".snapshots").mkdir()
    subvolume("snapshot", running, top / "@/.snapshots/1/older")
    subvolume("set-default", running)


def fedora(top: Path) -> None:
    """Fedora: the kernel's command line names the subvolume."""
    subvolume("create", top / "root")
    subvolume("create", top / "home")
    (top / "home/in-home").write_text("home")
    line = f"UUID={UUID} / btrfs subvol=root,compress=zstd:1 0 0\n"
    root(top / "root", f"{line}UUID={UUID} /home btrfs subvol=home,compress=zstd:1 0 0\n")


def ubuntu(top: Path) -> None:
    """Ubuntu; with the snapshots that Timeshift keeps beside, roots as well."""
    subvolume("create", top / "@")
    subvolume("create", top / "@home")
    (top / "@home/in-home").write_text("home")
    line = f"UUID={UUID} / btrfs defaults,subvol=@ 0 1\n"
    root(top / "@", f"{line}UUID={UUID} /home btrfs defaults,subvol=@home 0 2\n")
    (top / "timeshift-btrfs").mkdir()
    subvolume("snapshot", top / "@", top / "timeshift-btrfs/@")


LAYOUTS: dict[str, tuple[Callable[[Path], None], list[tuple[str, str]]]] = {
    "suse": (
        suse,
        [
            ("/", ""),
            ("/var", "subvol=/@/var"),
            ("/home", "subvol=/@/home"),
            ("/srv", "subvol=/@/srv"),
            ("/.snapshots", "subvol=/@/.snapshots"),
        ],
    ),
    "fedora": (fedora, [("/", "subvol=root"), ("/home", "subvol=home")]),
    "ubuntu": (ubuntu, [("/", "subvol=@"), ("/home", "subvol=@home")]),
}


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("devices", [1, 2])
def test_guest(name: str, devices: int, tmp_path: Path) -> None:
    lay_out, expected = LAYOUTS[name]
    first, *further = images = [tmp_path / f"disk-{number}" for number in range(devices)]
    make(first, "-U", UUID, "-d", "single", further=further)
    with mounted_pool(images, options="rw") as top:
        lay_out(top)
        subprocess.run(["sync", "--file-system", top], check=True)
    with open_guest([RawFile(str(image)) for image in images], tmp_path, READING) as tree:
        assert {(point.path, point.subvolume) for point in tree.mounts} == {*expected}
        assert {point.engine for point in tree.mounts} == {"btrfs"}
        assert {point.device for point in tree.mounts} == {"disk 0"}
        for path, _ in expected[1:]:
            entry = tree.lookup(f"{path[1:]}/in-{path[1:]}".encode())
            assert entry is not None
            assert b"".join(tree.read(entry)) == path[1:].encode()
        assert not tree.step_downs
        assert not tree.notes
        assert len(list(tree.walk())) > len(expected)
