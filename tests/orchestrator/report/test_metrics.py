"""Metrics say what the run's view says, over a real HTTP endpoint."""

from __future__ import annotations

import socket
from dataclasses import replace

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from orchestrator.errors import ConnectError
from orchestrator.fleet.states import JobState, Stage
from orchestrator.fleet.view import StageTime
from orchestrator.report.metrics import serve
from tests.orchestrator.report.views import job, run_view


def scrape(port: int) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample of the endpoint by name and labels."""
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_samples_follow_the_view() -> None:
    with serve(run_view, "127.0.0.1", 0) as port:
        samples = scrape(port)
    assert samples["orchestrate_vms", (("state", "done"),)] == 2
    assert samples["orchestrate_vms", (("state", "publishing"),)] == 0
    assert samples["orchestrate_received_bytes_total", ()] == 2024
    assert samples["orchestrate_pushed_bytes_total", ()] == 300
    assert samples["orchestrate_snapshots_open", ()] == 1
    assert samples["orchestrate_snapshot_oldest_age_seconds", ()] == 45
    assert samples["orchestrate_errors_total", (("kind", "worker-lost"), ("stage", "convert"))] == 1
    assert samples["orchestrate_budget_used", (("budget", "host disks"), ("name", "esx-1"))] == 1
    assert samples["orchestrate_workers", ()] == 2
    steps = (("engine", "ext2fs"), ("instead", "guestfs"))
    assert samples["orchestrate_reader_step_downs_total", steps] == 1


@pytest.mark.parametrize(
    ("ended", "since", "refused"), [(1020.0, 1005.0, 1), (1020.0, 1030.0, 0), (None, 1005.0, 0)]
)
def test_a_removal_counts_as_refused_while_its_snapshot_is_there(
    ended: float | None, since: float, refused: int
) -> None:
    release = StageTime(Stage.RELEASE, 1, 1010.0, ended)
    held = job("web", JobState.RELEASING, stages=(release,), snapshot_since=since)
    with serve(lambda: replace(run_view(), jobs=(held,)), "127.0.0.1", 0) as port:
        assert scrape(port)["orchestrate_snapshots_refused", ()] == refused


def test_what_stays_of_earlier_runs_is_counted_too() -> None:
    left = sum(one.snapshot_left for one in run_view().jobs)
    with serve(lambda: replace(run_view(), stays=2), "127.0.0.1", 0) as port:
        assert scrape(port)["orchestrate_snapshots_left", ()] == left + 2


def test_histograms_are_cumulative_and_complete() -> None:
    with serve(run_view, "127.0.0.1", 0) as port:
        samples = scrape(port)
    bucket = "orchestrate_stage_duration_seconds_bucket"
    assert samples[bucket, (("le", "5.0"), ("stage", "download"))] == 0
    assert samples[bucket, (("le", "10.0"), ("stage", "download"))] == 1
    assert samples[bucket, (("le", "+Inf"), ("stage", "download"))] == 1
    assert samples["orchestrate_stage_duration_seconds_sum", (("stage", "download"),)] == 7.5
    assert samples["orchestrate_queue_wait_seconds_count", ()] == 4


def test_a_taken_port_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConnectError, match=f"127.0.0.1:{port}"), serve(run_view, "127.0.0.1", port):
            pass
