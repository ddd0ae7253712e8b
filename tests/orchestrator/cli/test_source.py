"""``orchestrate --source FOLDER`` and ``convert`` of described machines, without a vCenter."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from converters import process
from deploy.demo import guests
from deploy.demo.registry import Registry
from tests.converters.descriptors.packages import Hard, machine, manifest, ova, write
from tests.orchestrator.cli.conftest import Orchestrate
from tests.orchestrator.sources.folders import vmx

GUEST = guests.small("little")
CAPACITY = f'ovf:capacity="{GUEST.raw.stat().st_size}"'


def image(path: Path, kind: str, *options: str) -> None:
    """The guest's disk in a format of QEMU's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    process.run(["qemu-img", "convert", "-f", "raw", "-O", kind, *options, str(GUEST.raw), str(path)])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Machines in every form, and broken ones."""
    folder = tmp_path_factory.mktemp("machines")
    image(folder / "web/web-base.vmdk", "vmdk", "-o", "subformat=monolithicFlat")
    overlay = ["qemu-img", "create", "-q", "-f", "vmdk", "-b", "web-base.vmdk", "-F", "vmdk", "web.vmdk"]
    process.run(overlay, cwd=str(folder / "web"))
    vmx(folder / "web", "web", 'numvcpus = "2"')
    files = {"mail.ovf": machine("mail", Hard(disk=CAPACITY)).encode(), "disk.vmdk": GUEST.vmdk.read_bytes()}
    ova(folder / "mail.ova", {"mail.ovf": files["mail.ovf"], "mail.mf": manifest(files).encode(), **files})
    packed = gzip.compress(GUEST.vmdk.read_bytes())
    chunk = len(packed) // 2 // 512 * 512
    sizes = f'ovf:size="{len(packed)}" ovf:compression="gzip" ovf:chunkSize="{chunk}"'
    chunks = {
        f"db.vmdk.{number:09d}": packed[start : start + chunk]
        for number, start in enumerate(range(0, len(packed), chunk))
    }
    write(folder / "db", {"db.ovf": machine("db", Hard("db.vmdk", sizes, CAPACITY)).encode(), **chunks})
    image(folder / "alone.qcow2", "qcow2")
    vmx(folder / "broken", "broken", disks=["gone.vmdk"])
    lying = machine("lying", Hard(disk=CAPACITY)).encode()
    told = manifest({"lying.ovf": lying, "disk.vmdk": b"else"}).encode()
    write(folder / "lying", {"lying.ovf": lying, "lying.mf": told, "disk.vmdk": files["disk.vmdk"]})
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may change; the times of its files are kept."""
    return Path(shutil.copytree(made, tmp_path / "source"))


@pytest.fixture
def environment(images: Registry, tmp_path: Path) -> dict[str, str]:
    """What a person has set before; of a vCenter nothing."""
    return {
        "ORCHESTRATE_REGISTRY": f"{images.address}/{tmp_path.name.replace('_', '-').lower()}",
        "ORCHESTRATE_LEDGER": str(tmp_path / "ledger.sqlite"),
        "ORCHESTRATE_OUTPUT": str(tmp_path / "out"),
        "ORCHESTRATE_SCRATCH": str(tmp_path / "scratch"),
        "ORCHESTRATE_WORKERS": "1",
    }


def report(tmp_path: Path) -> dict[str, dict[str, Any]]:
    """What the report says of each machine."""
    document = json.loads((tmp_path / "out/report.json").read_text())
    return {job["vm"]: job for job in document["run"]["jobs"]}


def test_a_folder_is_converted_and_what_is_broken_costs_itself_alone(
    orchestrate: Orchestrate, folder: Path, tmp_path: Path
) -> None:
    said = orchestrate("--source", str(folder))
    assert said.status == 1, said.err
    first = report(tmp_path)
    states = {name: vm["state"] for name, vm in first.items()}
    converted = ("web", "mail", "db", "alone")
    assert states == {**dict.fromkeys(converted, "done"), "broken": "skipped", "lying": "failed"}
    assert "is 'gone.vmdk', which is absent" in said.out
    assert "disk.vmdk is not what its package's manifest says" in said.out
    assert "cpus: 2.000" in (tmp_path / "out/compose/web.compose.yaml").read_text()
    assert not [path for path in (tmp_path / "scratch").rglob("*") if path.is_file()]

    os.utime(folder / "web/web.vmdk")
    shutil.rmtree(folder / "lying")
    said = orchestrate("--source", str(folder))
    assert said.status == 0, said.err
    second = report(tmp_path)
    digests = {name: vm["image"]["digest"] for name, vm in first.items() if vm["image"]}
    assert {name: vm["image"]["digest"] for name, vm in second.items() if vm["image"]} == digests
    again = [name for name, vm in second.items() if vm["stages"]]
    assert again == ["web"]
    assert "3 VMs by an earlier run, unchanged since" in said.out


def test_a_dry_run_tells_which_and_why_not(orchestrate: Orchestrate, folder: Path, tmp_path: Path) -> None:
    (folder / "web/web.vmx.lck").touch()
    said = orchestrate("--source", str(folder), "--dry-run", "--exclude", "mail")
    assert said.status == 0
    lines = {line.split()[0]: line for line in said.out.splitlines() if line}
    assert "the machine is in use" in lines["web"]
    assert "gone.vmdk" in lines["broken"]
    assert "a disk image alone" in lines["alone"]
    assert "mail" not in lines
    assert not (tmp_path / "out").exists()


def test_check_tells_what_a_run_would_meet(orchestrate: Orchestrate, folder: Path) -> None:
    (folder / "linked.ova").symlink_to("/nowhere.ova")
    said = orchestrate("check", "--source", str(folder), "--engines", "ext2fs", "--format", "json")
    assert said.status == 0, said.err
    found = {check["name"]: check for check in json.loads(said.out)["checks"]}
    assert found["VMs"]["found"] == "5 of 6 can be converted"
    assert (found["left out"]["grade"], found["source folder"]["grade"]) == ("warning", "fine")
    assert "linked.ova" in found["left out"]["found"]
    assert orchestrate("check", "--source", str(folder / "broken"), "--skip-check", "workers").status == 1


def test_machines_that_one_file_describes(orchestrate: Orchestrate, folder: Path, tmp_path: Path) -> None:
    said = orchestrate("convert", str(folder / "mail.ova"))
    assert said.status == 0, said.err
    assert 'mem_limit: "1024m"' in (tmp_path / "out/mail.compose.yaml").read_text()
    said = orchestrate("convert", str(folder / "web/web.vmx"), "--name", "other")
    assert said.status == 0, said.err
    assert 'mem_limit: "512m"' in (tmp_path / "out/other.compose.yaml").read_text()


@pytest.mark.parametrize(
    ("paths", "status", "words"),
    [
        (["broken/broken.vmx"], 1, "is 'gone.vmdk', which is absent"),
        (["lying/lying.ovf"], 1, "--package-digests=skip"),
        (["web/web.vmx", "alone.qcow2"], 64, "give it alone"),
    ],
)
def test_what_cannot_be_converted_is_told(
    orchestrate: Orchestrate, folder: Path, paths: list[str], status: int, words: str
) -> None:
    said = orchestrate("convert", *(str(folder / path) for path in paths))
    assert said.status == status
    assert words in said.err


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--source", "/nowhere"], 64, "/nowhere is no folder"),
        ([], 64, "--source FOLDER"),
    ],
)
def test_wrong_words(orchestrate: Orchestrate, arguments: list[str], status: int, words: str) -> None:
    said = orchestrate(*arguments)
    assert (said.status, words in said.err) == (status, True), said.err


def test_an_empty_folder_is_nothing_to_do(orchestrate: Orchestrate, tmp_path: Path) -> None:
    said = orchestrate("--source", str(tmp_path))
    assert said.status == 2
    assert "there is no VM in" in said.err
