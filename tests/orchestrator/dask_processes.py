"""A Dask scheduler and workers as processes of their own, as an operator would start them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from converters import process
from tests.waiting import until

_START_SECONDS = 30.0


@contextmanager
def remote_cluster(folder: Path, workers: int = 1, **variables: str) -> Iterator[tuple[str, process.Running]]:
    """A scheduler and workers as processes of their own; gives the scheduler's address and process.

    ``variables`` are further ones of their environment.
    """
    dask = str(Path(sys.executable).with_name("dask"))
    file = folder / "scheduler.json"
    options = ["--host", "127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0"]
    environment = {**process.MINIMAL_ENVIRONMENT, **variables, "PYTHONPATH": str(Path(__file__).parents[2])}
    with ExitStack() as stack:
        scheduler = stack.enter_context(
            process.running([dask, "scheduler", *options, "--scheduler-file", str(file)], env=environment)
        )
        until(lambda: file.exists() and file.read_text().endswith("}"), _START_SECONDS)
        address = json.loads(file.read_text())["address"]
        options = ["--nthreads", "1", "--resources", "convert=1", "--local-directory", str(folder)]
        for _ in range(workers):
            stack.enter_context(process.running([dask, "worker", address, *options], env=environment))
        yield address, scheduler
