"""Starts a cluster on this machine or joins another's, and makes this process its resident worker."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import dask.config
from distributed import Client, LocalCluster, Worker

from orchestrator.cluster import remote, roll
from orchestrator.cluster.cluster import Cluster
from orchestrator.cluster.values import CONVERT, VCENTER, ClusterSettings, Listener
from orchestrator.errors import ConnectError
from orchestrator.resident import Desk
from orchestrator.scratch import Scratch, default_root, sweep

_VCENTER_VARIABLES = "GOVC_"

DASK_CONFIG = {
    # One death is enough: the state machine begins a new attempt elsewhere, Dask none at all.
    "distributed.scheduler.allowed-failures": 0,
    # Whoever asks CPython for the frames of all threads may freeze the process: each thread then waits for
    # another, https://github.com/python/cpython/issues/106883, mended in 3.11.9 and 3.12.3.
    "distributed.worker.profile.enabled": False,
}


@contextmanager
def connect(settings: ClusterSettings, resident: object, listener: Listener) -> Iterator[Cluster]:
    """A cluster to convert on, with this process as its resident worker; all ends with the block.

    ``resident`` stays in this process; its methods are what ``submit_resident`` calls.
    Raises ``ConnectError`` when the scheduler cannot be reached or local workers cannot be started.
    """
    with ExitStack() as stack:
        client, folder = stack.enter_context(_scheduler(settings))
        desk = stack.enter_context(Desk(resident, listener, settings.resident_threads))
        address = stack.enter_context(_resident_worker(client, desk.id, settings, folder))
        cluster = Cluster(client, desk, address, settings, listener)
        try:
            yield cluster
        finally:
            cluster.close()


def call_roll(
    settings: ClusterSettings, question: roll.Question, order: Any, seconds: float = 120.0
) -> roll.RollCall:
    """Ask every worker that converts, beside whatever it does now; ``seconds`` are for the answer.

    Raises ``ConnectError`` when the scheduler cannot be reached or local workers cannot be started.
    """
    with _scheduler(settings) as (client, _):
        called: roll.RollCall = client.sync(roll.take, client, question, order, seconds)
        return called


@contextmanager
def _scheduler(settings: ClusterSettings) -> Iterator[tuple[Client, str]]:
    """A client of the scheduler, our own or another, and a folder for this process."""
    with ExitStack() as stack:
        stack.enter_context(_without_vcenter_variables())
        own = Scratch(default_root())  # a temporary folder would outlive a kill
        stack.callback(own.close)
        folder = str(own.path)
        # A scheduler of our own has no other way to be told where its files go.
        stack.enter_context(dask.config.set({**DASK_CONFIG, "temporary-directory": folder}))
        if settings.scheduler:
            target: Any = settings.scheduler
        else:
            target = stack.enter_context(_local_cluster(settings, folder))
        yield stack.enter_context(_client(target, settings.connect_seconds)), folder


@contextmanager
def _local_cluster(settings: ClusterSettings, folder: str) -> Iterator[LocalCluster]:
    root = Path(settings.scratch) if settings.scratch else default_root()
    sweep(root)
    cluster = LocalCluster(
        n_workers=settings.workers or os.cpu_count() or 1,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        resources={CONVERT: 1},
        memory_limit=settings.memory,
        local_directory=folder,
        env=dict(settings.environment),
        preload=[remote.__name__],
    )
    try:
        with cluster:
            yield cluster
    finally:
        sweep(root)


@contextmanager
def _client(target: Any, timeout: float) -> Iterator[Client]:
    try:
        client = Client(target, timeout=timeout, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise ConnectError(
            f"the Dask scheduler {target} cannot be reached: {error}",
            "start it with `dask scheduler`, or leave --scheduler out to use this machine alone",
        ) from error
    with client:
        yield client


@contextmanager
def _resident_worker(client: Client, name: str, settings: ClusterSettings, folder: str) -> Iterator[str]:
    async def start() -> Worker:
        return await Worker(
            client.scheduler.address,
            nthreads=settings.resident_threads,
            name=name,
            resources={VCENTER: settings.resident_threads},
            memory_limit=0,
            local_directory=folder,
            security=client.security,
            dashboard=False,
        )

    worker = client.sync(start)
    try:
        yield worker.address
    finally:
        client.sync(worker.close)


@contextmanager
def _without_vcenter_variables() -> Iterator[None]:
    """What processes started meanwhile inherit: everything but the variables that name vCenter."""
    names = [name for name in os.environ if name.startswith(_VCENTER_VARIABLES)]
    hidden = {name: os.environ.pop(name) for name in names}
    try:
        yield
    finally:
        os.environ.update(hidden)
