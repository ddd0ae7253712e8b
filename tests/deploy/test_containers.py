"""The real thing from its own images: a run by real containers, confined as the compose file says.

Building the images takes minutes, so this runs by itself: `make test-containers`.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from docker.errors import NotFound
from docker.models.containers import Container

from deploy.demo import guests, simulator
from deploy.demo.dockerd import Engine
from deploy.demo.fleet import Datacenter, Disk, Fleet, Machine
from deploy.demo.guests import dirty, tiny
from deploy.demo.simulator import Simulator
from orchestrator.errors import ExitCode
from tests.deploy.compose_stack import Stack, compose_file, network
from tests.deploy.images import build_base, build_product, build_stand_ins
from tests.kernel import needs_root
from tests.waiting import until

pytestmark = [pytest.mark.containers, pytest.mark.root, needs_root, pytest.mark.timeout(2400)]

USER = 10001
# The simulator's ESXi hosts have no addresses of their own.
UNCHECKED = {"ORCHESTRATE_SKIP_CHECK": "hosts"}
NEEDED = {"GOVC_URL": "not used", "GOVC_USERNAME": simulator.USERNAME, "GOVC_DATACENTER": "DC0"}
WORKERS = 2
_RUN_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Ran:
    """Two runs that have ended, and what ran them."""

    without_libguestfs: dict[str, Any]
    """Report of the first."""
    report: dict[str, Any]
    """Of the second, with no other engine, for what the first left out."""
    registry: str
    """URL, from this machine."""
    workers: tuple[Container, ...]
    prometheus: str
    """URL, from this machine."""
    vcenter: Simulator

    def files(self, vm: str) -> dict[str, bytes]:
        """Path and content of the regular files of a VM's image."""
        (job,) = (job for job in self.report["run"]["jobs"] if job["vm"] == vm)
        name, _, digest = job["image"]["reference"].partition("/")[2].partition("@")
        with httpx.Client(base_url=f"{self.registry}/v2/{name}", trust_env=False, timeout=60.0) as client:
            accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
            manifest = client.get(f"/manifests/{digest}", headers=accept).raise_for_status().json()
            blob = client.get(f"/blobs/{manifest['layers'][0]['digest']}").raise_for_status().content
        with tarfile.open(fileobj=io.BytesIO(blob)) as layer:
            return {
                member.name: content.read()
                for member in layer
                if member.isreg() and (content := layer.extractfile(member))
            }


def btrfs_guest(folder: Path) -> Path:
    """A disk that is not read in process: a btrfs that is the seed of others."""
    tree, disk = folder / "tree", folder / "btrfs.raw"
    tiny.populate(tree, "btrfs")
    (tree / "etc/fstab").write_text("")
    disk.touch()
    os.truncate(disk, 256 << 20)
    subprocess.run(["mkfs.btrfs", "--quiet", "--rootdir", str(tree), str(disk)], check=True)
    subprocess.run(["btrfstune", "-S", "1", str(disk)], check=True)
    return disk


@pytest.fixture(scope="module")
def images(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """The images of the stack, and the bytes of the product's."""
    build_base(engine)
    services = compose_file(NEEDED)["services"]
    folder = tmp_path_factory.mktemp("images")
    build_stand_ins(engine, services["registry"]["image"], services["prometheus"]["image"], folder)
    return {
        target: build_product(engine, target, services[target]["image"])
        for target in ("orchestrator", "worker")
    }


@pytest.fixture(scope="module")
def ran(engine: Engine, images: dict[str, int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    folder = tmp_path_factory.mktemp("stack")
    disks = {
        "busy": guests.busy().raw,
        "small": guests.small().vmdk,
        "btrfs": btrfs_guest(folder),
    }
    vms = tuple(Machine(name, disks=(Disk(str(path)),)) for name, path in disks.items())
    with ExitStack() as stack:
        address = stack.enter_context(network(engine))
        fleet = Fleet((Datacenter(vms=vms),))
        vcenter = stack.enter_context(simulator.running(fleet, f"{address}:0"))
        password = folder / "vcenter-password"
        password.write_text(vcenter.password)
        password.chmod(0o400)
        os.chown(password, USER, USER)
        yield run(Stack(engine, {**NEEDED, **variables(vcenter)}, folder), vcenter)


def variables(vcenter: Simulator) -> dict[str, str]:
    """What a user sets for this vCenter."""
    return {"GOVC_URL": vcenter.url, "VCENTER_THUMBPRINT": vcenter.thumbprint}


def run(services: Stack, vcenter: Simulator) -> Ran:
    """Start everything, and let the orchestrator run to its end twice."""
    registry = services.start("registry")
    prometheus = services.start("prometheus")
    services.start("scheduler")
    workers = tuple(services.start("worker") for _ in range(WORKERS))
    return Ran(
        report(
            services.start(
                "orchestrator", **UNCHECKED, ORCHESTRATE_ENGINES="ext2fs uml", ORCHESTRATE_EXCLUDE="btrfs"
            )
        ),
        report(services.start("orchestrator", **UNCHECKED, ORCHESTRATE_ENGINES="guestfs")),
        f"http://{services.address(registry)}:5000",
        workers,
        f"http://{services.address(prometheus)}:9090",
        vcenter,
    )


def report(orchestrator: Container) -> dict[str, Any]:
    """The report of a run, once it has ended."""
    status = orchestrator.wait(timeout=_RUN_SECONDS)["StatusCode"]
    assert status in (ExitCode.OK, ExitCode.SOME_FAILED), orchestrator.logs().decode()
    try:
        stream, _ = orchestrator.get_archive("/var/lib/orchestrate/report/report.json")
    except NotFound:
        pytest.fail(f"no run began: {orchestrator.logs().decode()}")
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
        content = archive.extractfile("report.json")
        assert content is not None
        document: dict[str, Any] = json.load(content)
    return document


def states(document: dict[str, Any]) -> dict[str, str]:
    """What became of each VM."""
    return {job["vm"]: job["state"] for job in document["run"]["jobs"]}


def output(container: Container, *command: str) -> str:
    """What a command prints in a container."""
    printed = container.exec_run(list(command)).output
    assert isinstance(printed, bytes)
    return printed.decode()


def test_images_are_small(images: dict[str, int], capsys: pytest.CaptureFixture[str]) -> None:
    """The worker's largest parts: libguestfs' appliance, QEMU, user-mode Linux, Python with its libraries."""
    with capsys.disabled():
        print({target: f"{size / 1e6:.0f} MB" for target, size in images.items()}, end=" ")
    assert images["orchestrator"] < 350e6
    assert images["worker"] < 1100e6


def test_every_vm_becomes_an_image_and_nothing_stays(ran: Ran) -> None:
    assert states(ran.report) == dict.fromkeys(("busy", "small", "btrfs"), "done")
    assert ran.vcenter.snapshots() == []
    assert ran.vcenter.leases().open == ()


def test_a_dirty_guest_is_recovered_by_user_mode_linux_in_the_worker(ran: Ran) -> None:
    assert states(ran.without_libguestfs)["busy"] == "done"
    files = ran.files("busy")
    assert files["etc/hostname"].decode().strip() == dirty.HOSTNAME
    assert sum(path.startswith("srv/new/") for path in files) == dirty.NEW_FILES + 1


def test_libguestfs_reads_in_the_worker(ran: Ran) -> None:
    assert "btrfs" not in states(ran.without_libguestfs)
    assert ran.files("btrfs")["srv/www/index.html"].decode() == tiny.page("btrfs") + "\n"


def test_workers_are_confined(ran: Ran) -> None:
    for worker in ran.workers:
        status = output(worker, "cat", "/proc/1/status")
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert fields["Uid"].split() == [str(USER)] * 4
        assert {fields[name] for name in ("CapEff", "CapPrm", "CapBnd")} == {"0" * 16}
        assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2")
        assert worker.exec_run(["touch", "/opt/x"]).exit_code != 0
        assert output(worker, "find", "/scratch", "-size", "+1M") == ""


def test_prometheus_scrapes_the_stack(ran: Ran) -> None:
    def up() -> bool:
        query = {"query": 'up{job="dask-scheduler"} == 1'}
        answer = httpx.get(f"{ran.prometheus}/api/v1/query", params=query, trust_env=False).json()
        return len(answer["data"]["result"]) == 1

    until(up, seconds=40.0)
