"""A real Prometheus scrapes a run; its numbers agree with the ledger, the report and the registry."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from deploy.demo import prometheus
from deploy.demo.prometheus import Prometheus
from deploy.demo.registry import free_port
from deploy.demo.simulator import Download, Rule
from orchestrator.errors import ExitCode
from orchestrator.fleet.states import JobState
from orchestrator.ledger import schema
from tests.safety.harness import PATIENCE, Site
from tests.waiting import until

SCRAPES_EVERY = 0.5
"""Seconds."""


def by_label(samples: list[prometheus.Sample], *labels: str) -> dict[tuple[str, ...], int]:
    """Samples that are not 0, by the values of some labels."""
    return {
        tuple(sample.labels[label] for label in labels): int(sample.value)
        for sample in samples
        if sample.value
    }


def value(watching: Prometheus, name: str) -> float:
    (sample,) = watching.query(name)
    return sample.value


def states(site: Site) -> Counter[tuple[str, ...]]:
    with site.ledger() as ledger:
        run = ledger.last_run()
        assert run is not None
        return Counter((job.state.value,) for job in ledger.jobs(run.run))


def stages(site: Site) -> list[Any]:
    with site.ledger() as ledger, ledger.engine.begin() as connection:
        return list(connection.execute(select(schema.stages)))


def until_scraped(watching: Prometheus) -> None:
    """Wait until everything that Prometheus says is younger than this call."""
    begun = time.time()
    until(lambda: value(watching, "timestamp(orchestrate_workers)") > begun)


def test_what_prometheus_says_agrees_with_the_ledger_the_report_and_the_registry(site: Site) -> None:
    port = free_port()
    create = "CreateSnapshot_Task"
    for rule in (
        Rule(create, "task", "little", "FileFault"),
        Rule("RemoveSnapshot_Task", "call", "big", "TaskInProgress"),  # holds the run when all else has ended
    ):
        site.simulator.inject(rule)
    site.simulator.disturb_downloads(Download(vm="other", status=503, count=1))
    targets = {"orchestrate": [f"127.0.0.1:{port}"]}
    with prometheus.running(targets, SCRAPES_EVERY) as watching:
        with site.converting("--workers", "2", "--attempts", "2", "--metrics-port", str(port)) as command:
            held = Counter([(JobState.RELEASING.value,), (JobState.DONE.value,), (JobState.FAILED.value,)])
            site.until_called(create)
            until(lambda: states(site) == held, PATIENCE)
            until_scraped(watching)
            vms = by_label(watching.query("orchestrate_vms"), "state")
            counted = by_label(watching.query("orchestrate_stage_duration_seconds_count"), "stage")
            failures = by_label(watching.query("orchestrate_errors_total"), "stage", "kind")
            moved = {
                name: int(value(watching, f"orchestrate_{name}_bytes_total"))
                for name in ("received", "read", "pushed")
            }
            open_snapshots = value(watching, "orchestrate_snapshots_open")
            rows = stages(site)
            site.undisturb()
            assert command.wait() == ExitCode.SOME_FAILED, command.said
        until(lambda: value(watching, 'up{job="orchestrate"}') == 0)

    assert vms == held
    assert counted == Counter((row.stage,) for row in rows if row.ok)
    assert open_snapshots == 1
    jobs = site.report().values()
    assert failures == Counter((error["stage"], error["kind"]) for job in jobs for error in job["errors"])
    assert moved == {name: sum(job[f"{name}_total"] for job in jobs) for name in moved}
    assert moved["received"] == sum(row.bytes for row in rows if row.stage == "download")
    assert moved["read"] == sum(row.bytes for row in rows if row.stage == "convert")
    assert moved["pushed"] == sum(site.layer_sizes())
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False)
