"""A Dask scheduler and workers as processes of their own, as an operator would start them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from converters import process
from tests.waiting import until

ROOT = Path(__file__).parents[2]
_START_SECONDS = 30.0
_DASK = str(Path(sys.executable).with_name("dask"))


@contextmanager
def remote_cluster(
    folder: Path, workers: int = 1, port: int = 0, **variables: str
) -> Iterator[tuple[str, process.Running]]:
    """A scheduler and workers as processes of their own; gives the scheduler's address and process.

    ``port`` is the scheduler's, 0 a free one; ``variables`` are further ones of their environment.
    """
    file = folder / "scheduler.json"
    options = ["--host", "127.0.0.1", "--port", str(port), "--dashboard-address", "127.0.0.1:0"]
    command = [_DASK, "scheduler", *options, "--scheduler-file", str(file)]
    file.unlink(missing_ok=True)  # another scheduler's
    with ExitStack() as stack:
        scheduler = stack.enter_context(process.running(command, env=_environment(folder, variables)))
        until(lambda: file.exists() and file.read_text().endswith("}"), _START_SECONDS)
        address = json.loads(file.read_text())["address"]
        for _ in range(workers):
            stack.enter_context(remote_worker(address, folder, **variables))
        yield address, scheduler


@contextmanager
def remote_worker(address: str, folder: Path, **variables: str) -> Iterator[process.Running]:
    """A worker of the scheduler at ``address``; it may not have joined yet."""
    options = ["--nthreads", "1", "--resources", "convert=1", "--local-directory", str(folder)]
    with process.running([_DASK, "worker", address, *options], env=_environment(folder, variables)) as worker:
        yield worker


def _environment(folder: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """With temporary files in ``folder``: a scheduler that ends by a signal leaves some."""
    return {**process.MINIMAL_ENVIRONMENT, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder), **variables}
