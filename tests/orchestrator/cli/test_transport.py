"""``orchestrate --transport datastore``: the same images, and only what is used is read."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from converters.process import run
from deploy.demo import guests
from deploy.demo.fleet import Cluster, Datacenter, Datastore, Disk, Fleet, Host, Machine, UserSnapshot
from deploy.demo.simulator import Simulator
from orchestrator.errors import ExitCode
from tests.conftest import StartSimulator
from tests.orchestrator.cli.conftest import BY_HAND, HOSTS, Orchestrate, Start
from tests.waiting import until

STORE = "Data Store 1"
ROOMY = 160 << 20
"""Bytes of a disk that is mostly empty."""
PLACE = ("--transport", "datastore")
PATIENCE = 60.0
DESCRIPTOR = """# Disk DescriptorFile
version=1
CID=fffffffe
parentCID=ffffffff
createType="vmfs"
RW {sectors} VMFS "{name}"
"""
"""As the simulator writes it: a delta names its parent by this content ID."""


@pytest.fixture(scope="module")
def roomy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A guest's disk with much room behind its last partition: raw, and as an export gives it."""
    folder = tmp_path_factory.mktemp("roomy")
    raw, vmdk = folder / "roomy.raw", folder / "roomy.vmdk"
    raw.write_bytes(guests.small("roomy").raw.read_bytes())
    os.truncate(raw, ROOMY)
    run(
        [
            "qemu-img",
            "convert",
            "-f",
            "raw",
            "-O",
            "vmdk",
            "-o",
            "subformat=streamOptimized",
            str(raw),
            str(vmdk),
        ]
    )
    return raw, vmdk


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> tuple[tuple[str, str], ...]:
    """The files of a delta that makes of one guest's disk another's: name on the datastore, and file here."""
    folder = tmp_path_factory.mktemp("grown")
    before, after = guests.small("before").raw, guests.small("after").raw
    (folder / "base-flat.vmdk").symlink_to(before)
    base = folder / "base.vmdk"
    base.write_text(DESCRIPTOR.format(sectors=before.stat().st_size // 512, name="base-flat.vmdk"))
    delta = folder / "grown-000001.vmdk"
    command = ["qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-B", str(base), "-F", "vmdk"]
    run([*command, "-o", "subformat=twoGbMaxExtentSparse", str(after), str(delta)])
    return tuple((path.name, str(path)) for path in folder.glob("grown-*"))


@pytest.fixture(scope="module")
def fleet(roomy: tuple[Path, Path], grown: tuple[tuple[str, str], ...]) -> Fleet:
    raw, vmdk = roomy
    before, after, object_ = guests.small("before"), guests.small("after"), guests.small("object")
    machines = (
        Machine("my vm ü #1", datastore=STORE, disks=(Disk(str(vmdk), str(raw)),)),
        Machine(
            "grown",
            datastore=STORE,
            disks=(Disk(str(after.vmdk), str(before.raw), files=grown),),
            snapshots=(UserSnapshot(BY_HAND),),
        ),
        Machine("object", datastore="vsan", disks=(Disk(str(object_.vmdk), str(object_.raw)),)),
    )
    stores = (Datastore(STORE), Datastore("vsan", type="vsan"))
    clusters = (Cluster(hosts=tuple(Host(name) for name in HOSTS)),)
    return Fleet((Datacenter("DC0", folders=("sites",), datastores=stores, clusters=clusters, vms=machines),))


@pytest.fixture
def simulator(start_simulator: StartSimulator, fleet: Fleet) -> Iterator[Simulator]:
    """The vCenter; a test that leaves a snapshot, a lease or a session of ours fails."""
    started = start_simulator(fleet)
    started.forget_calls()
    started.change(denied_privileges=[], datastore_rate=0)
    yield started
    started.reset()
    assert [snapshot.name for snapshot in started.snapshots()] == [BY_HAND]
    assert started.leases().open == ()
    assert started.sessions() == []


def jobs(environment: Mapping[str, str]) -> dict[str, Any]:
    report = json.loads((Path(environment["ORCHESTRATE_OUTPUT"]) / "report.json").read_text())
    return {job["vm"]: job for job in report["run"]["jobs"]}


@contextmanager
def when_read(simulator: Simulator, act: Any) -> Iterator[None]:
    """Act once, from another thread, when a datastore has been read for a while."""
    before = simulator.datastore_reads().requests
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            if simulator.datastore_reads().requests > before + 4:
                act()
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def test_the_same_images_from_fewer_bytes(
    orchestrate: Orchestrate, environment: Mapping[str, str], simulator: Simulator, tmp_path: Path
) -> None:
    assert orchestrate().status == ExitCode.OK
    copied = jobs(environment)
    leases, reads = simulator.leases().made, simulator.datastore_reads()
    assert reads.requests == 0

    said = orchestrate(*PLACE, ORCHESTRATE_LEDGER=str(tmp_path / "second.sqlite"))
    assert said.status == ExitCode.OK, said.err
    in_place = jobs(environment)
    assert {vm: job["image"]["digest"] for vm, job in in_place.items()} == {
        vm: job["image"]["digest"] for vm, job in copied.items()
    }
    # The lease of the VM whose disk is an object, and why.
    assert simulator.leases().made == leases + 1
    assert "is on a datastore of type vsan" in in_place["object"]["reason"]
    assert "object is exported by a lease: datastore: " in said.err
    stages = {vm: [stage["stage"] for stage in job["stages"]] for vm, job in in_place.items()}
    assert stages["my vm ü #1"] == ["snapshot", "export", "convert", "publish", "release"]
    assert stages["object"][2] == "download"
    moved = simulator.datastore_reads().bytes
    told = sum(in_place[vm]["received_total"] for vm in ("my vm ü #1", "grown"))
    assert 0.9 * moved < told <= moved  # descriptors and looks are not a disk's bytes
    assert in_place["my vm ü #1"]["received_total"] < ROOMY / 4


def test_a_session_that_ends_in_the_middle(
    orchestrate: Orchestrate, environment: Mapping[str, str], simulator: Simulator
) -> None:
    simulator.change(datastore_rate=4 << 20)
    ended: list[int] = []
    with when_read(simulator, lambda: ended.append(simulator.end_sessions())):
        said = orchestrate(*PLACE, "--include", "my vm*")
    assert said.status == ExitCode.OK, said.err
    assert ended == [1]
    job = jobs(environment)["my vm ü #1"]
    assert job["attempt"] == 1
    assert job["errors"] == []


@pytest.mark.long
def test_an_account_that_may_not_read_datastores(
    orchestrate: Orchestrate, environment: Mapping[str, str], simulator: Simulator
) -> None:
    before = simulator.datastore_reads()
    simulator.change(denied_privileges=["Datastore.FileManagement"])
    said = orchestrate(*PLACE, "--include", "my vm*")
    assert said.status == ExitCode.OK, said.err
    assert "does not let the account read the datastore" in jobs(environment)["my vm ü #1"]["reason"]
    assert simulator.datastore_reads() == before


@pytest.mark.long
def test_a_disk_that_changes_while_it_is_read(
    orchestrate: Orchestrate, environment: Mapping[str, str], simulator: Simulator, roomy: tuple[Path, Path]
) -> None:
    simulator.change(datastore_rate=4 << 20)
    with when_read(simulator, lambda: os.utime(roomy[0], (1, 1))):
        said = orchestrate(*PLACE, "--include", "my vm*")
    assert said.status == ExitCode.OK, said.err
    job = jobs(environment)["my vm ü #1"]
    assert job["attempt"] == 2  # from a new snapshot
    assert [error["kind"] for error in job["errors"]] == ["stream"]
    assert "changed while it was read" in job["errors"][0]["message"]


@pytest.mark.parametrize("number", [pytest.param(signal.SIGTERM, marks=pytest.mark.long), signal.SIGKILL])
def test_an_end_in_the_middle(
    orchestrate: Orchestrate, start: Start, simulator: Simulator, number: signal.Signals
) -> None:
    simulator.change(datastore_rate=256 << 10)
    before = simulator.datastore_reads().requests
    with start(*PLACE, "--include", "my vm*") as child:
        until(lambda: simulator.datastore_reads().requests > before + 4, PATIENCE)
        assert len(simulator.snapshots()) == 2
        child.process.send_signal(number)
        status = child.wait(PATIENCE)
    simulator.change(datastore_rate=0)
    if number == signal.SIGTERM:
        assert status == ExitCode.INTERRUPTED
    else:
        assert orchestrate("sweep").status == ExitCode.OK
        until(lambda: len(simulator.sessions()) <= 1)
        simulator.end_sessions()
    assert [snapshot.name for snapshot in simulator.snapshots()] == [BY_HAND]


def test_check_tells_what_each_transport_takes(orchestrate: Orchestrate, simulator: Simulator) -> None:
    skip = ("--skip-check", "workers", "--format", "json")
    simulator.change(denied_privileges=["Datastore.FileManagement"])

    def lines(*arguments: str) -> dict[str, dict[str, str]]:
        found = json.loads(orchestrate("check", *skip, *arguments).out)
        return {line["name"]: line for line in found["checks"]}

    assert not {"Datastore.Browse on their datastores", "datastore", "vddk"} & lines().keys()
    found = lines(*PLACE)
    assert found["Datastore.Browse on their datastores"]["grade"] == "fine"
    assert found["Datastore.FileManagement on their datastores"]["grade"] == "warning"
    assert "go by the export lease" in found["Datastore.FileManagement on their datastores"]["found"]
    assert "127.0.0.1, which workers must reach" in found["datastore"]["found"]
    found = lines("--transport", "vddk")
    assert found["VirtualMachine.Provisioning.DiskRandomRead on the VMs"]["grade"] == "fine"
    assert (found["vddk"]["grade"], found["vddk"]["found"][:26]) == ("blocking", "no lib64/libvixDiskLib.so*")


def test_without_the_library_no_snapshot_is_made(orchestrate: Orchestrate, simulator: Simulator) -> None:
    said = orchestrate("--transport", "vddk")
    assert said.status == ExitCode.USAGE
    assert "--vddk-libdir" in said.err
    assert simulator.count("CreateSnapshot_Task") == 0
