"""The command line as a process of its own, and what must hold when it is over."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from converters import process
from deploy.demo.registry import Registry
from deploy.demo.simulator import Download, OpenLease, Rule, Simulator, Snapshot
from orchestrator.errors import ExitCode
from orchestrator.ledger import Ledger
from orchestrator.vsphere.marker import PREFIX
from tests.safety.link import Link
from tests.waiting import until

ROOT = Path(__file__).parents[2]
DATACENTER = "DC0"
PATIENCE = 60.0
"""Seconds that any one thing may take."""
LEASE_SECONDS = 3.0
WORKER = "multiprocessing-fork"
"""What stands in the arguments of a local worker."""
BY_HAND = ("big", "before the upgrade")
"""VM and name of a snapshot that somebody else made."""
_SLOW = 1 << 20
"""Bytes a second."""
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True, slots=True)
class Command:
    """A command at work."""

    process: process.Running
    out: Path
    """What it wrote to standard output so far."""
    before: frozenset[str]
    """Leases by moref, and uploads by path, that others had left when it was started."""

    def wait(self) -> int:
        """Its exit status."""
        return self.process.wait(PATIENCE)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the command alone, as a service manager does."""
        os.kill(self.process.pid, number)

    def until_said(self, words: str) -> None:
        """Wait until the command has written ``words``."""
        until(lambda: words in self.said, PATIENCE)

    @property
    def said(self) -> str:
        """What it wrote, for a failed assertion and for what a person must be told."""
        return self.out.read_text() + self.process.stderr().decode(errors="replace")


@dataclass(frozen=True, slots=True)
class Site:
    """One test's vCenter, registry, ledger and folders."""

    simulator: Simulator
    registry: Registry
    link: Link
    """Between workers and registry."""
    folder: Path
    prefix: str
    """Path in the registry: another test's blobs must not be found there."""
    commands: list[Command] = field(default_factory=list)
    """Those that were started, in order."""

    @property
    def output(self) -> Path:
        """Folder of report and compose files."""
        return self.folder / "out"

    @property
    def environment(self) -> dict[str, str]:
        """Variables of the command; the folder's name in them is how its processes are found."""
        return {
            **process.MINIMAL_ENVIRONMENT,
            **self.simulator.environment(),
            "ORCHESTRATE_REGISTRY": f"{self.link.address}/{self.prefix}",
            "ORCHESTRATE_LEDGER": str(self.folder / "ledger.sqlite"),
            "ORCHESTRATE_OUTPUT": str(self.output),
            "ORCHESTRATE_SCRATCH": str(self.folder / "scratch"),
            "TMPDIR": str(self.folder),
        }

    @contextmanager
    def started(self, *arguments: str) -> Iterator[Command]:
        """``orchestrate`` with ``arguments``; killed when the block ends before it does."""
        command = [sys.executable, "-m", "orchestrator", *arguments]
        out = self.folder / "stdout"
        before = {lease.moref for lease in self._leases()} | {str(file) for file in self._uploads("*")}
        with (
            out.open("wb") as stdout,
            process.running(
                command, env=self.environment, cwd=str(ROOT), stdout=stdout, patience=0
            ) as running,
        ):
            self.commands.append(Command(running, out, frozenset(before)))
            yield self.commands[-1]

    def converting(self, *flags: str) -> Any:
        """The main job, started."""
        return self.started("--datacenter", DATACENTER, *flags)

    def convert(self, *flags: str, status: int = ExitCode.OK) -> dict[str, dict[str, Any]]:
        """The main job to its end; the VMs of its report by name."""
        with self.converting(*flags) as command:
            ended = command.wait()
            assert ended == status, command.said
        return self.report()

    def report(self) -> dict[str, dict[str, Any]]:
        """The VMs of the last report by name."""
        document = json.loads((self.output / "report.json").read_text())
        return {job["vm"]: job for job in document["run"]["jobs"]}

    def ledger(self) -> Ledger:
        """The ledger, to be closed by the caller; only when no command writes its first pages."""
        return Ledger(self.folder / "ledger.sqlite")

    def undisturb(self) -> None:
        """End every disturbance."""
        self.link.go_on()
        self.simulator.reset()

    # What is going on, seen from outside.

    def until_downloading(self, vm: str) -> None:
        """Wait until bytes of the VM's disk are on their way to the last command."""
        before = self.commands[-1].before

        def downloading(lease: OpenLease) -> bool:
            return lease.vm == vm and lease.moref not in before and any(lease.sent.values())

        self._until(lambda: any(map(downloading, self._leases())))

    def until_pushing(self, vm: str, size: int = 1 << 16) -> None:
        """Wait until the registry holds ``size`` bytes of an upload of the last command, not complete yet."""
        before = self.commands[-1].before

        def pushed() -> bool:
            return any(_size(file) >= size for file in self._uploads(vm) if str(file) not in before)

        self._until(pushed)

    def until_stopped(self, method: str, what: str, at_answer: bool = False) -> None:
        """Wait until a request of the large VM's repository, or the answer to it, is held up."""
        stop = self.link.stop_at(f"{method} /v2/{self.prefix}/big/{what}/", at_answer)
        self._until(lambda: stop.met)

    def until_called(self, method: str) -> None:
        """Wait until vCenter was asked to do something."""
        self._until(lambda: self.simulator.count(method))

    def processes(self) -> dict[int, str]:
        """Every process of this test's commands that lives: its arguments by id."""
        found = {}
        mark = os.fsencode(self.folder)
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_bytes()
                if mark in words or mark in (folder / "environ").read_bytes():
                    found[int(folder.name)] = words.replace(b"\0", b" ").decode(errors="replace")
            except OSError:  # it has ended meanwhile
                continue
        return found

    def process(self, words: str) -> int:
        """The one process whose arguments hold ``words``, once there is one."""

        def named() -> list[int]:
            return [pid for pid, arguments in self.processes().items() if words in arguments]

        self._until(named)
        (pid,) = named()
        return pid

    def holder(self, file: str) -> int:
        """The one process of this test that has a file of that name open."""
        (pid,) = [pid for pid in self.processes() if any(open_one.name == file for open_one in _opened(pid))]
        return pid

    # What must hold afterwards.

    def ours(self) -> list[Snapshot]:
        """The snapshots that this product made."""
        return [one for one in self.simulator.snapshots() if one.name.startswith(PREFIX)]

    def disks(self) -> list[Path]:
        """What lies on scratch."""
        files = [file for file in (self.folder / "scratch").rglob("*") if file.is_file()]
        return [file for file in files if file.name != "lock"]

    def assert_settled(self) -> None:
        """Nothing of ours is left anywhere, and other people's snapshots are."""
        assert self.ours() == []
        assert [(one.vm, one.name) for one in self.simulator.snapshots()] == [BY_HAND]
        until(lambda: not self._leases())  # one whose session was ended lives until its time-out
        assert self.simulator.sessions() == []
        until(lambda: not self.processes())
        with self.ledger() as ledger:
            assert ledger.open_snapshots() == ()
            assert ledger.live_runs() == frozenset()
            for job, repository in ledger.repositories().items():
                image = ledger.last_image(job)
                assert self.tagged().get(Path(repository).name) == (image and image.digest)
        assert self.disks() == []  # but for the empty folder of a worker that ended by a signal
        self.assert_whole()

    def assert_whole(self) -> None:
        """Every tag of every repository names a manifest all of whose blobs are there, with their content."""
        with self._registry() as registry:
            for repository, manifest in self._manifests(registry):
                for blob in (manifest["config"], *manifest["layers"]):
                    content = registry.get(f"/v2/{repository}/blobs/{blob['digest']}").content
                    digest = hashlib.sha256(content).hexdigest()
                    assert (f"sha256:{digest}", len(content)) == (blob["digest"], blob["size"])

    def tagged(self) -> dict[str, str]:
        """The digests of what is tagged, by repository below the prefix."""
        with self._registry() as registry:
            answers = {name: registry.head(f"/v2/{name}/manifests/latest") for name in self._repositories()}
        return {
            name.removeprefix(f"{self.prefix}/"): answer.headers["Docker-Content-Digest"]
            for name, answer in answers.items()
            if answer.is_success
        }

    def layer_sizes(self) -> list[int]:
        """Bytes of every layer of what is tagged, as the registry stores them."""
        with self._registry() as registry:
            return [
                int(registry.head(f"/v2/{repository}/blobs/{layer['digest']}").headers["Content-Length"])
                for repository, manifest in self._manifests(registry)
                for layer in manifest["layers"]
            ]

    def _manifests(self, registry: httpx.Client) -> Iterator[tuple[str, Any]]:
        for repository in self._repositories():
            for tag in registry.get(f"/v2/{repository}/tags/list").json().get("tags") or ():
                answer = registry.get(f"/v2/{repository}/manifests/{tag}")
                assert answer.status_code == httpx.codes.OK, answer.text
                yield repository, answer.json()

    def _until(self, condition: Callable[[], object]) -> None:
        """Wait until ``condition`` holds, no longer than the last command lives."""
        last = self.commands[-1]
        until(lambda: condition() or last.process.ended() is not None, PATIENCE)
        assert condition(), last.said

    def _uploads(self, vm: str) -> Iterator[Path]:
        """What the registry holds of blobs that were not completed."""
        pattern = f"content/docker/registry/v2/repositories/{self.prefix}/{vm}/_uploads/*/data"
        return self.registry.folder.glob(pattern)

    def _leases(self) -> tuple[OpenLease, ...]:
        return self.simulator.leases().open

    def _registry(self) -> httpx.Client:
        accept = {"Accept": _MANIFEST}
        return httpx.Client(base_url=self.registry.url, headers=accept, trust_env=False, timeout=10.0)

    def _repositories(self) -> list[str]:
        folder = self.registry.folder / "content/docker/registry/v2/repositories" / self.prefix
        return [f"{self.prefix}/{found.name}" for found in sorted(folder.glob("*")) if found.is_dir()]


def digests(jobs: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Image digest by VM, of those that have one."""
    return {name: job["image"]["digest"] for name, job in jobs.items() if job["image"]}


def errors(job: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Stage and kind of every failure of a VM."""
    return [(error["stage"], error["kind"]) for error in job["errors"]]


def in_snapshot(site: Site) -> None:
    """Wait until a snapshot is being made, and takes its time."""
    site.simulator.inject(slow("CreateSnapshot_Task", 3.0, count=1))
    site.until_called("CreateSnapshot_Task")


def in_download(site: Site) -> None:
    """Wait until the large VM's disk is being downloaded, slowly."""
    site.simulator.disturb_downloads(Download(vm="big", rate=_SLOW))
    site.until_downloading("big")


def in_push(site: Site) -> None:
    """Wait until the registry has the beginning of the large VM's layer, and gets the rest slowly."""
    site.link.rate = _SLOW
    site.until_pushing("big")


def in_release(site: Site) -> None:
    """Wait until a snapshot is being removed, and takes its time."""
    site.simulator.inject(slow("RemoveSnapshot_Task", 3.0, count=1))
    site.until_called("RemoveSnapshot_Task")


def slow(method: str, seconds: float, **where: Any) -> Rule:
    """A vSphere task that takes its time."""
    return Rule(method, stage="task", delay_ms=int(seconds * 1000), **where)


def _opened(pid: int) -> list[Path]:
    try:
        return [link.readlink() for link in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:  # it has ended, or closed a file meanwhile
        return []


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:  # committed meanwhile
        return 0
