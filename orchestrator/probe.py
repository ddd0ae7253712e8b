"""What a worker reaches and what it has, found out on the worker itself for ``orchestrate check``."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from converters import process
from converters.errors import ConvertError, ScratchFullError, UnsupportedError
from converters.filesystems import available
from converters.filesystems.engines import Engine
from converters.outputs.client import RegistryAccess
from converters.outputs.docker_config import docker_credentials
from converters.outputs.reference import split_repository
from converters.outputs.registry import RegistryOutput
from orchestrator.errors import ConnectError, OrchestratorError
from orchestrator.scratch import Scratch, default_root
from orchestrator.stages import own_credentials
from orchestrator.vsphere.values import CheckResult

NFC_PORT = 443
"""Where an ESXi host serves the disks of an export lease."""
SCRATCH = "scratch"
_CONNECT_SECONDS = 5.0
_CONNECTIONS = 32
_SHOWN = 5
_SAMPLE_BYTES = 64 << 20
_BLOCK_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class ProbeOrder:
    """What a worker is to find out."""

    hosts: tuple[str, ...]
    """Names of the ESXi hosts, as vCenter has them: export leases name them like that."""
    repository: str
    access: RegistryAccess
    """How workers reach the registry, without credentials: a worker has its own."""
    scratch: str
    """Folder; empty: below the worker's ``TMPDIR``."""
    engines: tuple[str, ...]
    """``Engine`` values that may be used."""


@dataclass(frozen=True, slots=True)
class Space:
    """A worker's scratch space."""

    place: str
    """The same for workers that share it."""
    path: str
    free: int
    """Bytes."""
    rate: float
    """Bytes a second that reach the disk."""


@dataclass(frozen=True, slots=True)
class Probed:
    """What a worker found out."""

    results: tuple[CheckResult, ...]
    space: Space | None
    """None: none can be used; the result ``SCRATCH`` says why."""


def probe(order: ProbeOrder) -> Probed:
    """Find everything out; what is missing is told, not raised."""
    reached = tuple(_reached(order))
    root = Path(order.scratch) if order.scratch else default_root()
    try:
        with closing(Scratch(root)) as own:
            space = measure(own.path, root)
            return Probed((*reached, *_engines(order.engines, own.path)), space)
    except ScratchFullError as error:
        return Probed((*reached, CheckResult(SCRATCH, False, error.message, error.hint)), None)


def tried(name: str, attempt: Callable[[], str]) -> CheckResult:
    """What came of an attempt: the details it gives, or the error it raises."""
    try:
        return CheckResult(name, True, attempt())
    except (ConvertError, OrchestratorError) as error:
        return CheckResult(name, False, error.message, error.hint)


def push(repository: str, access: RegistryAccess) -> str:
    """Find out whether a push would be let in. Raises ``OutputError``."""
    with RegistryOutput(repository, access) as output:
        output.check()
    who = access.credentials or docker_credentials(split_repository(repository)[0])
    return f"lets us push, {f'as {who.username}' if who and who.username else 'without a user name'}"


def reach(hosts: tuple[str, ...]) -> str:
    """Connect to each host as a download would. Raises ``ConnectError``, which names those out of reach."""
    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        problems = {
            host: problem for host, problem in zip(hosts, pool.map(_reach, hosts), strict=True) if problem
        }
    if not problems:
        return f"{len(hosts)} of {len(hosts)} take a connection on port {NFC_PORT}"
    shown = [f"{host}: {problem}" for host, problem in list(problems.items())[:_SHOWN]]
    more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    raise ConnectError(
        f"{len(problems)} of {len(hosts)} are out of reach: {'; '.join(shown)}{more}",
        "workers download from the hosts by these names: let them resolve (DNS, /etc/hosts), and open"
        f" TCP {NFC_PORT} to the hosts",
    )


def _reach(host: str) -> str:
    """Why a host cannot be reached; empty when it can."""
    try:
        with socket.create_connection((host, NFC_PORT), timeout=_CONNECT_SECONDS):
            return ""
    except socket.gaierror:
        return "its name cannot be resolved"
    except TimeoutError:
        return f"no answer within {_CONNECT_SECONDS:g} s"
    except OSError as error:
        return error.strerror or str(error)


def measure(folder: Path, root: Path) -> Space:
    """The space around ``folder``, below ``root``, and how fast it is. Raises ``ScratchFullError``."""
    block = os.urandom(_BLOCK_BYTES)  # some file systems store zeros as nothing
    free = shutil.disk_usage(folder).free
    began = time.monotonic()
    try:
        with tempfile.TemporaryFile(dir=folder) as sample:
            for _ in range(_SAMPLE_BYTES // _BLOCK_BYTES):
                sample.write(block)
            sample.flush()
            os.fsync(sample.fileno())
    except OSError as error:
        raise ScratchFullError(f"{root} takes no {_SAMPLE_BYTES >> 20} MiB: {error}") from error
    rate = _SAMPLE_BYTES / (time.monotonic() - began)
    return Space(f"{platform.node()}:{folder.stat().st_dev}", str(root), free, rate)


def _reached(order: ProbeOrder) -> Iterator[CheckResult]:
    access = replace(order.access, credentials=own_credentials())
    if order.hosts:
        yield tried("ESXi hosts", lambda: reach(order.hosts))
    yield tried("registry", lambda: push(order.repository, access))


def _engines(allowed: Collection[str], folder: Path) -> Iterator[CheckResult]:
    for engine in Engine:
        if engine in allowed:
            yield tried(f"engine {engine}", partial(_engine, engine, folder))
    yield tried("disk formats", _qemu)


def _engine(engine: Engine, folder: Path) -> str:
    available.require(engine, folder)
    return "works"


def _qemu() -> str:
    """QEMU's block layer reads what is neither raw nor a download."""
    if importlib.util.find_spec("nbd") is None:
        raise UnsupportedError("Python's module nbd is not installed", "install Debian's python3-libnbd")
    said = process.run(["qemu-nbd", "--version"]).stdout.decode(errors="replace")
    return said.partition("\n")[0]
