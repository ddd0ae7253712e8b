"""Prometheus metrics of a run, computed from its view at scrape time.

Names follow Prometheus' conventions (base units, ``_total`` for counters); no label holds a VM's name, so the
number of series does not grow with the fleet.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from orchestrator import __version__
from orchestrator.errors import ConnectError
from orchestrator.fleet.states import JobState, Stage
from orchestrator.fleet.view import JobView, RunView

STAGE_BUCKETS = (0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600)
"""Seconds: from a snapshot of an idle VM to the removal of a large one."""


class RunCollector(Collector):
    """Reads the run's view whenever Prometheus asks."""

    def __init__(self, view: Callable[[], RunView]) -> None:
        self._view = view

    def collect(self) -> Iterator[Metric]:
        """Every metric of the run at this moment."""
        view = self._view()
        yield InfoMetricFamily(
            "orchestrate_run",
            "The run, its datacenter and the product's version.",
            {"run": view.run, "datacenter": view.datacenter, "version": __version__},
        )
        yield _by_label("orchestrate_vms", "VMs by state.", "state", view.counts)
        yield GaugeMetricFamily("orchestrate_workers", "Dask workers that convert.", len(view.workers))
        yield from _bytes(view.jobs)
        yield from _snapshots(view)
        yield from _durations(view)
        yield _errors(view.jobs)
        yield _step_downs(view.jobs)
        yield _transport_step_downs(view.jobs)
        yield from _budgets(view)


@contextmanager
def serve(view: Callable[[], RunView], address: str, port: int) -> Iterator[int]:
    """Serve the metrics over HTTP for as long as the block runs; gives the port (a free one for 0).

    Raises:
        ConnectError: the address or port cannot be had.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(RunCollector(view))
    try:
        server, thread = start_http_server(port, addr=address, registry=registry)
    except OSError as error:
        raise ConnectError(
            f"cannot serve metrics on {address}:{port}: {error.strerror or error}",
            "choose another --metrics-port",
        ) from None
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _by_label(name: str, text: str, label: str, values: Mapping[JobState, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([str(key)], value)
    return family


def _bytes(jobs: tuple[JobView, ...]) -> Iterator[Metric]:
    yield CounterMetricFamily(
        "orchestrate_received_bytes",
        "Bytes of disks that came from ESXi hosts or datastores.",
        sum(job.received_total for job in jobs),
    )
    yield CounterMetricFamily(
        "orchestrate_read_bytes", "Bytes of guests' trees read, as tar.", sum(job.read_total for job in jobs)
    )
    yield CounterMetricFamily(
        "orchestrate_pushed_bytes",
        "Compressed bytes sent to the registry.",
        sum(job.pushed_total for job in jobs),
    )


def _snapshots(view: RunView) -> Iterator[Metric]:
    since = [job.snapshot_since for job in view.jobs if job.snapshot_since is not None]
    yield GaugeMetricFamily("orchestrate_snapshots_open", "Snapshots of this run that exist now.", len(since))
    yield GaugeMetricFamily(
        "orchestrate_snapshot_oldest_age_seconds",
        "Age of the oldest snapshot of this run; 0 when there is none.",
        max((view.now - moment for moment in since), default=0),
    )
    yield GaugeMetricFamily(
        "orchestrate_snapshots_refused",
        "Snapshots whose removal vCenter has refused, and that is tried again.",
        sum(_refused(job) for job in view.jobs),
    )
    yield GaugeMetricFamily(
        "orchestrate_snapshots_left",
        "Snapshots, of earlier runs too, that could not be removed and are still on their VMs.",
        view.stays + sum(job.snapshot_left for job in view.jobs),
    )
    yield CounterMetricFamily(
        "orchestrate_snapshots_swept", "Snapshots of earlier runs that this one removed.", view.swept
    )


def _refused(job: JobView) -> bool:
    """Whether the removal of the snapshot that the job has now has failed."""
    since = job.snapshot_since
    return since is not None and any(
        time.stage is Stage.RELEASE and time.ended is not None and not time.ok and time.started >= since
        for time in job.stages
    )


def _durations(view: RunView) -> Iterator[Metric]:
    stages = HistogramMetricFamily(
        "orchestrate_stage_duration_seconds", "Wall time of stages that ended well.", labels=["stage"]
    )
    for stage in Stage:
        seconds = [
            time.ended - time.started
            for job in view.jobs
            for time in job.stages
            if time.stage is stage and time.ok and time.ended is not None
        ]
        stages.add_metric([stage.value], *_histogram(seconds))
    yield stages
    waits = [
        job.started - job.queued for job in view.jobs if job.queued is not None and job.started is not None
    ]
    queue = HistogramMetricFamily(
        "orchestrate_queue_wait_seconds", "Time from the start of the run to a VM's admission."
    )
    queue.add_metric([], *_histogram(waits))
    yield queue


def _histogram(seconds: list[float]) -> tuple[list[tuple[str, float]], float]:
    counts = [0] * (len(STAGE_BUCKETS) + 1)
    for value in seconds:
        counts[bisect_left(STAGE_BUCKETS, value)] += 1
    bounds = [*(str(float(bound)) for bound in STAGE_BUCKETS), "+Inf"]
    total, buckets = 0, []
    for bound, count in zip(bounds, counts, strict=True):
        total += count
        buckets.append((bound, float(total)))
    return buckets, sum(seconds)


def _errors(jobs: tuple[JobView, ...]) -> CounterMetricFamily:
    family = CounterMetricFamily(
        "orchestrate_errors", "Failures of stages, retried ones too.", labels=["kind", "stage"]
    )
    counts = Counter((error.kind, error.stage.value) for job in jobs for error in job.errors)
    for labels, count in sorted(counts.items()):
        family.add_metric(list(labels), count)
    return family


def _step_downs(jobs: tuple[JobView, ...]) -> CounterMetricFamily:
    family = CounterMetricFamily(
        "orchestrate_reader_step_downs",
        "Volumes that a faster engine could not read exactly.",
        labels=["engine", "instead"],
    )
    counts = Counter(
        (step.engine, step.instead) for job in jobs if job.conversion for step in job.conversion.step_downs
    )
    for labels, count in sorted(counts.items()):
        family.add_metric(list(labels), count)
    return family


def _transport_step_downs(jobs: tuple[JobView, ...]) -> CounterMetricFamily:
    family = CounterMetricFamily(
        "orchestrate_transport_step_downs",
        "VMs read through an export lease because the transport asked for did not do.",
        labels=["transport"],
    )
    counts = Counter(job.step_down.partition(":")[0] for job in jobs if job.step_down)
    for transport, count in sorted(counts.items()):
        family.add_metric([transport], count)
    return family


def _budgets(view: RunView) -> Iterator[Metric]:
    used = GaugeMetricFamily(
        "orchestrate_budget_used", "What a budget has given out.", labels=["budget", "name"]
    )
    limit = GaugeMetricFamily(
        "orchestrate_budget_limit", "What a budget may give out.", labels=["budget", "name"]
    )
    for budget in view.budgets:
        used.add_metric([budget.kind, budget.name], budget.used)
        limit.add_metric([budget.kind, budget.name], budget.limit)
    yield used
    yield limit
