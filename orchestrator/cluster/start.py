"""Starts a cluster on this machine or joins another's, and makes this process its resident worker."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask.config
from distributed import LocalCluster

from converters.reader.confine import guard_secrets
from orchestrator.cluster import remote, roll
from orchestrator.cluster.cluster import Cluster
from orchestrator.cluster.lines import our_log_lines
from orchestrator.cluster.seat import Seat, client_of, seated
from orchestrator.cluster.values import CONVERT, ClusterSettings, Listener
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
        target, folder = stack.enter_context(_scheduler(settings))
        desk = stack.enter_context(Desk(resident, listener, settings.resident_threads))

        def take(seconds: float) -> AbstractContextManager[Seat]:
            return seated(target, folder, desk.id, replace(settings, connect_seconds=seconds))

        yield stack.enter_context(Cluster(take, desk, settings, listener))


def call_roll(
    settings: ClusterSettings, question: roll.Question, order: Any, seconds: float = 120.0
) -> roll.RollCall:
    """Ask every worker that converts, beside whatever it does now; ``seconds`` are for the answer.

    Raises ``ConnectError`` when the scheduler cannot be reached or local workers cannot be started.
    """
    with _scheduler(settings) as (target, _), client_of(target, settings.connect_seconds) as client:
        called: roll.RollCall = client.sync(roll.take, client, question, order, seconds)
        return called


@contextmanager
def _scheduler(settings: ClusterSettings) -> Iterator[tuple[str | LocalCluster, str]]:
    """Where the scheduler is, our own or another, and a folder for this process."""
    with ExitStack() as stack:
        stack.enter_context(our_log_lines())
        stack.enter_context(_without_vcenter_variables())
        own = Scratch(default_root())  # a temporary folder would outlive a kill
        stack.callback(own.close)
        folder = str(own.path)
        # A scheduler of our own has no other way to be told where its files go.
        stack.enter_context(dask.config.set({**DASK_CONFIG, "temporary-directory": folder}))
        yield settings.scheduler or stack.enter_context(_local_cluster(settings, folder)), folder


@contextmanager
def _local_cluster(settings: ClusterSettings, folder: str) -> Iterator[LocalCluster]:
    guard_secrets()
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
def _without_vcenter_variables() -> Iterator[None]:
    """What processes started meanwhile inherit: everything but the variables that name vCenter."""
    names = [name for name in os.environ if name.startswith(_VCENTER_VARIABLES)]
    hidden = {name: os.environ.pop(name) for name in names}
    try:
        yield
    finally:
        os.environ.update(hidden)
