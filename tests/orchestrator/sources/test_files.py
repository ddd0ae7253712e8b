"""A worker's part where disks are files: they must be here, whole, unlocked, and stay as they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from converters.disks.base import AbsentDisk, RawFile
from converters.errors import DescriptorError
from converters.outputs.client import RegistryAccess
from orchestrator.errors import FilesChangedError, FilesMissingError
from orchestrator.failures import StoppedError
from orchestrator.files import FilesOrder, files_stage, require_unchanged
from orchestrator.fleet.files import MachineFiles
from orchestrator.probe.worker import FILES, ProbeOrder, probe
from orchestrator.vsphere.values import CheckResult, Grade
from orchestrator.work import Work
from tests.converters.descriptors.packages import Hard, machine, manifest, write
from tests.orchestrator.sources.folders import DISK, source


def order(folder: Path, *, lying: bool = False, empty: bool = False) -> FilesOrder:
    """For a machine of one disk, verified by a manifest."""
    text = machine("web", Hard("disk.raw", disk=f'ovf:capacity="{len(DISK)}"'))
    if empty:
        text = text.replace('ovf:fileRef="f0"', "")
    files = {"web.ovf": text.encode(), "disk.raw": DISK}
    told = {**files, "disk.raw": b"else"} if lying else files
    write(folder, {**files, "web.mf": manifest(told).encode()})
    place = source(folder)
    (verdict,) = place.verdicts(place.stock().inventory.vms)
    assert verdict.files is not None
    return FilesOrder(verdict.files, verdict.vm.disks)


@pytest.fixture
def work(tmp_path: Path) -> Work:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return Work("run", "job", 1, scratch, lambda counts: None)


def test_the_files_are_verified_and_read_where_they_lie(tmp_path: Path, work: Work) -> None:
    found = files_stage(order(tmp_path / "source"), work)
    assert found.disks == (RawFile(str(tmp_path / "source/disk.raw")),)
    assert (found.received, found.written) == (0, 0)
    assert list(work.scratch.iterdir()) == []
    require_unchanged(found.files)


def test_a_wrong_digest_fails_the_machine(tmp_path: Path, work: Work) -> None:
    with pytest.raises(DescriptorError, match=r"disk\.raw is not what"):
        files_stage(order(tmp_path / "source", lying=True), work)


def test_files_that_the_worker_does_not_see(tmp_path: Path, work: Work) -> None:
    wanted = order(tmp_path / "source")
    (tmp_path / "source").rename(tmp_path / "elsewhere")
    with pytest.raises(FilesMissingError, match=r"does not see .*web\.ovf") as caught:
        files_stage(wanted, work)
    assert "same path on every worker" in caught.value.hint


def test_workers_are_asked_for_the_files_before_they_get_a_machine(tmp_path: Path) -> None:
    marks = order(tmp_path / "source").files.marks
    asked = ProbeOrder((), "", RegistryAccess(), str(tmp_path / "scratch"), (), thorough=False, files=marks)

    def found() -> CheckResult:
        (result,) = (result for result in probe(asked).results if result.name == FILES)
        return result

    assert found().grade is Grade.FINE
    (tmp_path / "source").rename(tmp_path / "elsewhere")
    assert found().grade is Grade.BLOCKING
    assert "web.ovf: No such file" in found().detail


def test_files_of_another_size(tmp_path: Path, work: Work) -> None:
    wanted = order(tmp_path / "source")
    with (tmp_path / "source/disk.raw").open("ab") as file:
        file.write(b"more")
    with pytest.raises(FilesMissingError, match="65,540 bytes on the worker, where the inventory saw 65,536"):
        files_stage(wanted, work)


def test_a_machine_that_was_started_meanwhile(tmp_path: Path, work: Work) -> None:
    wanted = order(tmp_path / "source")
    (tmp_path / "source/disk.raw.lck").touch()
    with pytest.raises(FilesChangedError, match="is in use"):
        files_stage(wanted, work)


def test_files_that_change_while_they_are_read(tmp_path: Path, work: Work) -> None:
    found = files_stage(order(tmp_path / "source"), work)
    (tmp_path / "source/disk.raw").write_bytes(DISK)
    with pytest.raises(FilesChangedError, match=r"disk\.raw changed while it was read: somebody wrote"):
        require_unchanged(found.files)
    (tmp_path / "source/disk.raw").unlink()
    with pytest.raises(FilesChangedError, match="it is gone"):
        require_unchanged(found.files)


@pytest.mark.parametrize("empty", [False, True])
def test_disks_that_are_left_out_or_have_no_content_keep_their_places(
    tmp_path: Path, work: Work, empty: bool
) -> None:
    wanted = order(tmp_path / "source", empty=empty)
    if not empty:
        wanted = replace(wanted, absent=wanted.devices)
    (disk,) = files_stage(wanted, work).disks
    assert isinstance(disk, AbsentDisk)
    assert (disk.capacity, Path(disk.path).parent) == (len(DISK), work.scratch)


def test_an_attempt_that_is_not_wanted_any_more_ends(tmp_path: Path, work: Work) -> None:
    wanted = order(tmp_path / "source")
    work.stop()
    with pytest.raises(StoppedError):
        files_stage(wanted, work)


def test_nothing_is_verified_without_a_manifest(tmp_path: Path, work: Work) -> None:
    wanted = order(tmp_path / "source", lying=True)
    unguarded = MachineFiles(wanted.files.disks, wanted.files.marks)
    assert files_stage(replace(wanted, files=unguarded), work).disks == (
        RawFile(str(tmp_path / "source/disk.raw")),
    )
