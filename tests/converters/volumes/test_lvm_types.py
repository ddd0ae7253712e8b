"""Logical volumes of every type: read in process where that is exact, by user-mode Linux where it is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from converters.disks.base import RawFile
from converters.filesystems.engines import Engine
from converters.filesystems.opener import Opened, VolumeOpener
from converters.volumes import Volume, read_volumes
from tests.converters.volumes import lvm_groups, md_arrays
from tests.converters.volumes.builder import filled
from tests.converters.volumes.lvm_groups import GROUP, IN_PROCESS, OTHERS

ENGINES = (Engine.EXT2FS, Engine.UML)
CONTENT = {"snap": "mirror", "cached": "uncached"}
"""What a volume was filled with, where it is not its name."""
NEWS = {"mirror": b"mirrored\n", "cached": b"cached\n"}


def opened(folder: Path, scratch: Path) -> tuple[VolumeOpener, dict[str, Volume]]:
    """Everything on the disks in ``folder``, by name."""
    disks = [RawFile(str(path)) for path in sorted(folder.iterdir())]
    opener = VolumeOpener(disks, scratch, ENGINES)
    volumes = [
        volume for index, disk in enumerate(opener.disks) for volume in read_volumes(disk, index).volumes
    ]
    return opener, {volume.name: volume for volume in opener.assemble(volumes)}


@pytest.fixture(scope="module")
def groups(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[VolumeOpener, dict[str, Volume]]]:
    opener, volumes = opened(lvm_groups.disks(), tmp_path_factory.mktemp("scratch"))
    yield opener, volumes
    opener.close()


def content(found: Opened, path: bytes) -> bytes | None:
    entry = found.filesystem.lookup(path)
    return None if entry is None else b"".join(found.filesystem.read(entry))


@pytest.mark.parametrize("name", [*IN_PROCESS, *OTHERS])
def test_each_volume_is_whole(groups: tuple[VolumeOpener, dict[str, Volume]], name: str) -> None:
    opener, volumes = groups
    if name == "thin-snap":
        assert f"/dev/{GROUP}/{name}" not in volumes, "no boot activates a snapshot of a thin volume"
        return
    found = opener.open(volumes[f"/dev/{GROUP}/{name}"])
    assert found.engine == "ext2fs"
    assert content(found, b"filled") == filled(CONTENT.get(name, name))
    assert content(found, b"news") == NEWS.get(name)


def test_each_step_beyond_the_process_is_told(groups: tuple[VolumeOpener, dict[str, Volume]]) -> None:
    opener, _ = groups
    steps = {(step.volume, step.engine, step.instead): step.reason for step in opener.step_downs}
    assert steps == {
        (f"/dev/{GROUP}/{name}", "in-process", "uml"): reason
        for name, reason in {
            "five": "volumes of type raid5 are not read in process",
            "ten": "volumes of type raid10 are not read in process",
            "thin": "volumes of type thin are not read in process",
            "cached": "volumes of type cache are not read in process",
            "snap": "LVM snapshots and what is merged are not read in process",
        }.items()
    }
    assert not opener.needs_appliance
    assert opener.notes == ()


@pytest.mark.slow
@pytest.mark.long
def test_arrays_that_only_a_kernel_assembles(tmp_path: Path) -> None:
    opener, volumes = opened(md_arrays.disks(), tmp_path)
    try:
        for name in md_arrays.LEFT:
            assert content(opener.open(volumes[md_arrays.device(name)]), b"filled") == filled(name)
    finally:
        opener.close()
    assert {step.volume for step in opener.step_downs} == {md_arrays.device(name) for name in md_arrays.LEFT}
