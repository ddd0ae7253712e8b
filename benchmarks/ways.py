"""Three ways from a disk image to an image in a registry: this product, libguestfs, and a loop mount."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, STDOUT

from benchmarks.memory import PeakMemory
from deploy.demo.dockerd import Engine
from deploy.demo.guests import Guest
from deploy.demo.registry import Registry, registry

MEMORY = Path("/dev/shm")
_NAME = "bench/disk"


@dataclass(frozen=True, slots=True)
class Took:
    """What one conversion took."""

    seconds: float
    pushed_bytes: int
    """What the registry holds afterwards."""
    peak_rss_mib: float = 0.0
    """Of this product's processes together; the others' work is done in daemons."""
    processor_seconds: float = 0.0
    """Of this product's processes."""
    registry_processor_seconds: float = 0.0
    """Of the registry, which has to share the processors with them here."""


def product(guest: Guest) -> Took:
    """``orchestrate convert``, as a person starts it."""
    with tempfile.TemporaryDirectory() as folder:
        with _registry() as server:
            command = [sys.executable, "-m", "orchestrator", "convert", str(guest.raw), "--name", "disk"]
            options = ["--registry", f"{server.address}/bench", "--output", folder]
            before, start = _processor_seconds(), time.perf_counter()
            with subprocess.Popen([*command, *options], stdout=PIPE, stderr=STDOUT) as process:
                with PeakMemory(process.pid) as memory:
                    said, _ = process.communicate()
                taken = time.perf_counter() - start
            _check(process.returncode, command, said)
            after, held = _processor_seconds(), _held(server)
        return Took(taken, held, memory.mib, after - before, _processor_seconds() - after)


def libguestfs(guest: Guest, engine: Engine) -> Took:
    """``virt-tar-out | docker import``, then ``docker push``; without KVM as with it."""
    settings = {"LIBGUESTFS_BACKEND": "direct", "LIBGUESTFS_BACKEND_SETTINGS": "force_tcg"}
    return _by_docker(["virt-tar-out", "-a", str(guest.raw), "/", "-"], settings, engine)


def mount(guest: Guest, engine: Engine) -> Took:
    """A loop mount by root, ``tar | docker import``, then ``docker push``."""
    with _mounted(guest) as folder:
        options = ["--numeric-owner", "--xattrs", "--xattrs-include=*", "--one-file-system"]
        return _by_docker(["tar", "-C", str(folder), *options, "-c", "."], {}, engine)


def _by_docker(source: Sequence[str], environment: Mapping[str, str], engine: Engine) -> Took:
    with _registry() as server:
        reference = f"{server.address}/{_NAME}:latest"
        docker = {**os.environ, **engine.environment()}
        start = time.perf_counter()
        with subprocess.Popen(source, stdout=subprocess.PIPE, env={**os.environ, **environment}) as tar:
            subprocess.run(
                ["docker", "import", "-", reference],
                stdin=tar.stdout,
                stdout=subprocess.DEVNULL,
                env=docker,
                check=True,
            )
        _check(tar.returncode, source)
        subprocess.run(
            ["docker", "push", "--quiet", reference], stdout=subprocess.DEVNULL, env=docker, check=True
        )
        taken = time.perf_counter() - start
        held = _held(server)
        engine.client.images.remove(reference)
    return Took(taken, held)


@contextmanager
def _registry() -> Iterator[Registry]:
    """An empty registry that keeps its content in memory: the disk's speed is not what is compared."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder, registry(Path(folder)) as server:
        yield server


@contextmanager
def _mounted(guest: Guest) -> Iterator[Path]:
    (root,) = (part for part in guest.partitions if part.mount == "/")
    options = f"loop,ro,noload,offset={root.offset},sizelimit={root.size}"
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["mount", "-t", root.type, "-o", options, guest.raw, folder], check=True)
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", folder], check=True)


def _held(server: Registry) -> int:
    return sum(path.stat().st_size for path in server.folder.glob("content/**/blobs/**/data"))


def _processor_seconds() -> float:
    """Of all processes that were started here and have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _check(status: int, command: Sequence[str], said: bytes = b"") -> None:
    if status:
        raise RuntimeError(f"`{' '.join(command)}` ended with exit status {status}: {said.decode()}")
