"""Plans and rules of a fleet: of the VMs of a vCenter, and of a folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import httpx
import yaml

from converters.planfile.reading import read_plan
from deploy.demo import guests
from deploy.demo.registry import Registry
from tests.orchestrator.cli.conftest import Orchestrate


def _report(tmp_path: Path) -> Any:
    return json.loads((tmp_path / "out/report.json").read_text())["run"]


def test_vms_are_looked_at_and_none_is_converted(
    orchestrate: Orchestrate, images: Registry, environment: dict[str, str], tmp_path: Path
) -> None:
    said = orchestrate("--include", "little", "--plan-only", ORCHESTRATE_REGISTRY="")
    assert said.status == 0, said.err
    assert "1 of 1 VM planned." in said.out
    path = tmp_path / "out/plans/little.plan.yaml"
    plan = read_plan(path)
    assert (plan.machine, bool(plan.uuid)) == ("little", True)
    assert list(plan.services) == ["web"]
    (job,) = _report(tmp_path)["jobs"]
    assert (job["state"], job["image"]) == ("done", None)
    assert "its plan has web" in job["reason"]
    assert job["snapshot_left"] is False

    # What was only planned counts as not converted.
    dry = orchestrate("--include", "little", "--dry-run", "--plans", str(path.parent))
    assert "1 would be converted" in dry.out
    catalogue = httpx.get(f"http://{images.address}/v2/_catalog", trust_env=False).json()["repositories"]
    place = environment["ORCHESTRATE_REGISTRY"].partition("/")[2]
    assert not [name for name in catalogue if name.startswith(place)]


def test_a_folders_plans_decide_and_a_changed_one_converts_again(
    orchestrate: Orchestrate, tmp_path: Path
) -> None:
    (tmp_path / "source").mkdir()
    shutil.copy(guests.small("little").raw, tmp_path / "source/little.raw")
    plans = tmp_path / "plans"
    asked = ("--source", str(tmp_path / "source"), "--plans", str(plans))
    said = orchestrate(*asked, "--plan-only")
    assert said.status == 0, said.err
    assert f"plans: {plans}" in said.out
    path = plans / "little.plan.yaml"

    def converted() -> tuple[str, bool, str]:
        said = orchestrate(*asked)
        assert said.status == 0, said.err
        (job,) = _report(tmp_path)["jobs"]
        return job["image"]["digest"], bool(job["stages"]), said.err

    first, _, _ = converted()
    (job,) = _report(tmp_path)["jobs"]
    topics = {one["topic"] for one in job["conversion"]["differences"]}
    assert {"Runs differently", "Left out"} <= topics
    assert "## Left out" in (tmp_path / "out/difference/little.difference.md").read_text()
    again, worked, _ = converted()
    assert (again, worked) == (first, False)
    path.write_text(path.read_text().replace("8080/tcp", "8081/tcp", 1))
    (plans / "gone.yaml").write_text("version: 1\nmachine: gone\n")
    changed, worked, told = converted()
    assert changed != first
    assert worked
    assert "gone.yaml is the plan of gone, which is not there" in told
    compose = yaml.safe_load((tmp_path / "out/compose/little.compose.yaml").read_text())
    assert compose["services"]["little"]["ports"] == ["8081:8081"]

    path.write_text("version: 1\nmachine: little\nservice: {}\n")
    broken = orchestrate(*asked)
    assert broken.status == 64
    assert "line 3, service: there is no such key" in broken.err
