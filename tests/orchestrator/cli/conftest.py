"""The command as a person runs it: one simulated vCenter, small guests and a registry for all its tests."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest

from converters import process
from deploy.demo import guests
from deploy.demo.fleet import Cluster, Datacenter, Disk, Fleet, Host, Machine, UserSnapshot
from deploy.demo.registry import Registry, registry
from deploy.demo.simulator import Simulator
from orchestrator.__main__ import status
from orchestrator.settings import Settings, environment_name
from tests.conftest import StartSimulator

BY_HAND = "before the upgrade"
BIG = 24 << 20
"""Bytes that do not compress on the disk of the VM ``big``."""
HOSTS = ("127.0.0.2", "127.0.0.3")
LARGE = 1000


@dataclass(frozen=True)
class Said:
    """What a command left behind in a terminal."""

    status: int
    out: str
    err: str


Orchestrate = Callable[..., Said]
Start = Callable[..., AbstractContextManager[process.Running]]


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    machines = (
        Machine(
            "little",
            folders=("prod",),
            disks=(Disk(str(guests.small("little").vmdk)),),
            snapshots=(UserSnapshot(BY_HAND, "made by hand"),),
        ),
        Machine("big", disks=(Disk(str(guests.small("big", BIG).vmdk)),)),
        Machine("broken", disks=(Disk(str(guests.garbage().vmdk)),)),
        Machine("no-linux", disks=(Disk(str(guests.windows().vmdk)),)),
    )
    clusters = (Cluster(hosts=tuple(Host(name) for name in HOSTS)),)
    return Fleet((Datacenter("DC0", clusters=clusters, vms=machines), Datacenter("Large", empty_vms=LARGE)))


@pytest.fixture
def simulator(start_simulator: StartSimulator, fleet: Fleet) -> Iterator[Simulator]:
    """The vCenter; a test that leaves a snapshot, a lease or a session of ours fails."""
    started = start_simulator(fleet)
    started.forget_calls()
    started.change(lease_timeout=4.0, denied_privileges=[])
    yield started
    started.reset()
    assert [snapshot.name for snapshot in started.snapshots()] == [BY_HAND]
    assert started.leases().open == ()
    assert started.sessions() == []


@pytest.fixture(scope="module")
def images() -> Iterator[Registry]:
    with registry() as running:
        yield running


@pytest.fixture
def environment(simulator: Simulator, images: Registry, tmp_path: Path) -> dict[str, str]:
    """What a person has set before; each test has a ledger and a repository of its own."""
    return {
        **simulator.environment(),
        "GOVC_DATACENTER": "DC0",
        "ORCHESTRATE_REGISTRY": f"{images.address}/{tmp_path.name.replace('_', '-').lower()}",
        "ORCHESTRATE_LEDGER": str(tmp_path / "ledger.sqlite"),
        "ORCHESTRATE_OUTPUT": str(tmp_path / "out"),
        "ORCHESTRATE_SCRATCH": str(tmp_path / "scratch"),
        "ORCHESTRATE_WORKERS": "1",
    }


@pytest.fixture
def orchestrate(
    environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Orchestrate]:
    """Runs the command line in this process."""
    for name in Settings.model_fields:
        monkeypatch.delenv(environment_name(name), raising=False)
    monkeypatch.setenv("COLUMNS", "400")
    handlers, level = logging.root.handlers[:], logging.root.level

    def run(*arguments: str, **variables: str) -> Said:
        for name, value in {**environment, **variables}.items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        code = status(list(arguments))
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    yield run
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


@pytest.fixture
def start(environment: Mapping[str, str]) -> Start:
    """Starts the command as a process of its own; ends it when the block ends."""

    def run(
        *arguments: str, stdout: IO[bytes] | None = None, **variables: str
    ) -> AbstractContextManager[process.Running]:
        inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return process.running(
            [sys.executable, "-m", "orchestrator", *arguments],
            env={**inherited, **environment, **variables},
            cwd=str(Path(__file__).parents[3]),
            stdout=stdout,
            patience=30.0,
        )

    return run
