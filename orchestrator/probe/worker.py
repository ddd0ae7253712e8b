"""Everything that is to be found out on one worker, as one question to it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from converters.errors import ConvertError, ScratchFullError
from converters.filesystems.engines import Engine
from converters.outputs.client import RegistryAccess
from orchestrator.errors import FilesMissingError
from orchestrator.files import require_here
from orchestrator.fleet.files import FileMark
from orchestrator.probe import hosts, machine, registry, scratch
from orchestrator.scratch import Scratch, default_root
from orchestrator.skew import clock
from orchestrator.stages import own_credentials
from orchestrator.vsphere.values import CheckResult

SCRATCH = "scratch"
REGISTRY = "registry"
FILES = "source folder"
_MEASURE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class ProbeOrder:
    """What a worker is to find out."""

    hosts: tuple[str, ...]
    """Names of the ESXi hosts, as vCenter has them: export leases name them like that."""
    repository: str
    """Where to write to the registry; empty: nowhere."""
    access: RegistryAccess
    """How workers reach the registry, without credentials: a worker has its own."""
    scratch: str
    """Folder; empty: below the worker's ``TMPDIR``."""
    engines: tuple[str, ...]
    """``Engine`` values that may be used."""
    thorough: bool = True
    """Also what a run can do without knowing: speeds, and what takes seconds to start."""
    deep: bool = False
    """Start libguestfs' appliance, too: 768 MiB, and ten seconds and more without KVM."""
    files: tuple[FileMark, ...] = ()
    """Files of machines that the worker has to see where the orchestrator does."""


@dataclass(frozen=True, slots=True)
class Probed:
    """What a worker found out."""

    results: tuple[CheckResult, ...]
    space: scratch.Space | None
    """None: none can be used; the result ``SCRATCH`` says why."""
    reach: hosts.Reach
    memory: machine.Memory
    clock: float
    """The worker's, when it was asked; seconds since 1970."""


def probe(order: ProbeOrder) -> Probed:
    """Find everything out; what is missing is told, not raised."""
    now = time.time()
    results = [*_registry(order), *_files(order)]
    space: scratch.Space | None = None
    root = Path(order.scratch) if order.scratch else default_root()
    try:
        with closing(Scratch(root)) as own:
            space = scratch.measure(own.path, root, _MEASURE_SECONDS if order.thorough else 0.0)
            results += machine.engines(order.engines, own.path, order.thorough)
            if order.deep and Engine.GUESTFS in order.engines:
                results.append(machine.appliance(own.path))
    except ScratchFullError as error:
        results.append(CheckResult(SCRATCH, False, error.message, error.hint))
    return Probed(tuple(results), space, hosts.reach(order.hosts), machine.memory(), now)


def _files(order: ProbeOrder) -> Iterator[CheckResult]:
    if not order.files:
        return
    try:
        for told in order.files:
            require_here(told)
    except FilesMissingError as error:
        yield CheckResult(FILES, False, error.message, error.hint)
        return
    yield CheckResult(FILES, True, f"{order.files[0].path} and the others that were looked for are there")


def _registry(order: ProbeOrder) -> Iterator[CheckResult]:
    if not order.repository:
        return
    access = replace(order.access, credentials=own_credentials())
    try:
        trial = registry.write(order.repository, access)
    except ConvertError as error:
        yield CheckResult(REGISTRY, False, error.message, error.hint)
        return
    yield CheckResult(REGISTRY, True, trial.detail)
    if trial.skew is not None:
        yield clock("registry's clock", trial.skew, "the registry's clock", "the worker's")
