"""The alerts fire when they should, and speak of metrics that there are."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from converters import process
from orchestrator.report.metrics import RunCollector
from tests.orchestrator.report.views import run_view

RULES = Path(__file__).parents[2] / "deploy/prometheus/alerts.yml"
INSTANCE = '{instance="vms:9182",job="orchestrate"}'


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    listed: list[dict[str, Any]] = group["rules"]
    return listed


def test_alerts_speak_of_metrics_that_there_are() -> None:
    known = {family.name for family in RunCollector(run_view).collect()} | {"up"}
    for rule in rules():
        assert set(re.findall(r"orchestrate_\w+|\bup\b", rule["expr"])) <= known


@pytest.mark.parametrize(
    ("series", "at", "alert"),
    [
        ({"snapshot_oldest_age_seconds": "0+60x1600"}, "6h2m", "OrchestrateSnapshotOld"),
        ({"snapshot_oldest_age_seconds": "0+60x1600"}, "24h2m", "OrchestrateSnapshotTooOld"),
        ({"snapshots_refused": "0x10 1x100"}, "25m", "OrchestrateRemovalRefused"),
        ({"snapshots_left": "0x10 1x5 _x100"}, "50m", "OrchestrateSnapshotLeft"),
        ({"snapshots_open": "3x10 _x100", "up": "1x10 0x100"}, "20m", "OrchestrateGoneWithSnapshots"),
    ],
)
def test_an_alert_fires_and_not_before(tmp_path: Path, series: dict[str, str], at: str, alert: str) -> None:
    named = {name if name == "up" else f"orchestrate_{name}": values for name, values in series.items()}
    (rule,) = (rule for rule in rules() if rule["alert"] == alert)
    labels = {**rule["labels"], "instance": "vms:9182", "job": "orchestrate"}
    document = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": name + INSTANCE, "values": values} for name, values in named.items()
                ],
                "promql_expr_test": [
                    {"expr": _firing(alert), "eval_time": "5m", "exp_samples": []},
                    {
                        "expr": _firing(alert),
                        "eval_time": at,
                        "exp_samples": [{"labels": _sample(alert, labels), "value": 1}],
                    },
                ],
            }
        ],
    }
    file = tmp_path / "alerts_test.yml"
    file.write_text(json.dumps(document))  # JSON is YAML
    process.run(["promtool", "test", "rules", str(file)])


def _firing(alert: str) -> str:
    return f'ALERTS{{alertname="{alert}",alertstate="firing"}}'


def _sample(alert: str, labels: dict[str, str]) -> str:
    found = {"alertname": alert, "alertstate": "firing", **labels}
    return "ALERTS{" + ",".join(f'{name}="{value}"' for name, value in found.items()) + "}"
