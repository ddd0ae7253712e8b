"""The only home of Dask: a cluster to convert on, and this process as its resident worker beside vCenter.

Tasks are submitted one by one, with plain values, never futures. Dask itself retries nothing: what ends, ends
as an event, and the state machine decides. What the resident worker does goes through
``orchestrator.resident``, so that it happens once and is heard of even when the scheduler is gone.
"""

from orchestrator.cluster.cluster import Cluster
from orchestrator.cluster.roll import PRODUCT, RollCall
from orchestrator.cluster.start import call_roll, connect
from orchestrator.cluster.values import (
    ClusterEvent,
    ClusterSettings,
    Listener,
    Progressed,
    SchedulerLost,
    WorkerStage,
)

__all__ = [
    "PRODUCT",
    "Cluster",
    "ClusterEvent",
    "ClusterSettings",
    "Listener",
    "Progressed",
    "RollCall",
    "SchedulerLost",
    "WorkerStage",
    "call_roll",
    "connect",
]
