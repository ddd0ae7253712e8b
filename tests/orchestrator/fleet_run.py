"""A run over a simulated vCenter with real guests and a real registry; also as a process, to be killed."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from converters.outputs.client import RegistryAccess
from converters.outputs.registry import RegistryOutput
from converters.request import Converted, Proposal, Target
from deploy.demo.simulator import Simulator
from orchestrator.cluster import ClusterSettings
from orchestrator.download import Downloaded, DownloadOrder
from orchestrator.fleet.states import Rules
from orchestrator.job import JobSettings
from orchestrator.ledger import Ledger
from orchestrator.preflight.checks import Check
from orchestrator.run import Run, RunConfig
from orchestrator.sources.vsphere import VSphereSource
from orchestrator.stages import ConvertOrder, Stages, convert_stage, download_stage
from orchestrator.terms import Patience
from orchestrator.vsphere.client import VCenter
from orchestrator.vsphere.settings import VCenterSettings
from orchestrator.work import Work

DATACENTER = "DC0"


@dataclass(frozen=True)
class Place:
    """Where a run's parts are."""

    url: str
    username: str
    password: str
    ca_file: str
    registry: str
    """``host:port/path``."""
    folder: str
    """For ledger and scratch."""

    @classmethod
    def of(cls, simulator: Simulator, registry: str, folder: Path) -> Place:
        return cls(
            simulator.url,
            simulator.username,
            simulator.password,
            str(simulator.ca_file),
            registry,
            str(folder),
        )

    @property
    def ledger(self) -> Path:
        return Path(self.folder) / "ledger.sqlite"

    @property
    def scratch(self) -> Path:
        return Path(self.folder) / "scratch"


def vcenter(place: Place) -> VCenter:
    """A connection, to be closed by the caller."""
    return VCenter(
        VCenterSettings.parse(place.url, place.username, SecretStr(place.password), ca_file=place.ca_file)
    )


@contextmanager
def prepared(place: Place, stages: Stages | None = None, **changes: Any) -> Iterator[Run]:
    """A run that has not begun, with short waits; ``changes`` are fields of its configuration."""
    configuration: dict[str, Any] = {
        "datacenter": DATACENTER,
        "registry": place.registry,
        "rules": Rules(backoff_base=0.2, put_off_pause=0.2),
        "job": JobSettings(access=RegistryAccess(patience=5.0)),
        "cluster": ClusterSettings(workers=1, memory="1GiB", scratch=str(place.scratch)),
        "patience": Patience(grace=60.0, heartbeat=1.0),
        "skip_check": frozenset({Check.HOSTS}),
        **changes,
    }
    with vcenter(place) as connected, Ledger(place.ledger) as ledger:
        yield Run(
            RunConfig(**configuration),
            VSphereSource(connected, configuration["datacenter"]),
            ledger,
            lambda repository: RegistryOutput(repository, RegistryAccess()),
            stages=stages,
        )


def convert_after_one_death(order: ConvertOrder, work: Work) -> Converted | Proposal:
    """The first conversion of all kills its worker when it has converted."""
    converted = convert_stage(order, work)
    if _first("death"):
        os.kill(os.getpid(), signal.SIGKILL)
    return converted


def convert_after_one_failure(order: ConvertOrder, work: Work) -> Converted | Proposal:
    """The first conversion of all finds no registry."""
    if _first("failure"):
        nowhere = replace(order.request, target=Target("127.0.0.1:9/nothing"))
        order = ConvertOrder(nowhere, RegistryAccess(patience=0))
    return convert_stage(order, work)


def download_slowly(order: DownloadOrder, work: Work) -> Downloaded:
    """A download that tells when it has begun, then takes its time."""
    _first("download")
    for moment in range(1, 300):
        work.report(received=moment)
        time.sleep(0.01)
    return download_stage(order, work)


def _first(name: str) -> bool:
    """Whether this is the first call with ``name`` by any process; the folder is in the environment."""
    marker = Path(os.environ["ORCHESTRATE_TEST_FOLDER"]) / name
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


if __name__ == "__main__":
    with prepared(Place(**json.loads(sys.argv[1])), Stages(download=download_slowly)) as run:
        run.execute()
