"""What a person changes in a plan is what the containers get, and is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from converters.errors import PlanError
from converters.plan import HealthCheck, ImagePlan, Resources, ServicePlan
from tests.converters.planfile.machines import by_plan, edited, planned, written


def _service(plan: ImagePlan, name: str) -> ServicePlan:
    return next(service for service in plan.services if service.name == name)


def _told(plan: ImagePlan) -> list[str]:
    return [f"{one.subject} {one.what}" for one in plan.decisions]


def test_services_are_switched_on_and_off(tmp_path: Path) -> None:
    decisions = edited(
        tmp_path / "p.yaml", acme_agent={"run": False, "reason": "not wanted"}, cron={"run": True}
    )
    plan = planned(decisions=decisions)
    assert [service.name for service in plan.services] == ["nginx", "app", "cron"]
    assert "service acme-agent gets no container: not wanted" in _told(plan)
    assert {one.source for one in plan.decisions} == {"plan p.yaml"}
    cron = _service(plan, "cron")
    assert cron.specification is not None
    assert cron.specification.start[0].words == ("/usr/sbin/cron", "-f")


def test_the_only_one_left_is_what_the_machines_image_starts(tmp_path: Path) -> None:
    off = {"run": False}
    plan = planned(decisions=edited(tmp_path / "p.yaml", acme_agent=off, app=off))
    assert (plan.service, plan.starts) == ("nginx", "")


def test_a_service_gets_what_the_plan_says(tmp_path: Path) -> None:
    change: dict[str, Any] = {
        "name": "site",
        "command": ["/usr/sbin/nginx", "-g", "daemon off; worker_processes 1;"],
        "user": "no",
        "environment": {"PATH": "/usr/bin", "SECRET": "s3cret"},
        "ports": ["8080", "80/tcp"],
        "volumes": ["/srv/www"],
        "stop_signal": "TERM",
        "resources": {"cpus": 0.5, "memory": "256MiB"},
        "health": {"port": 80, "path": "/ok"},
    }
    plan = planned(decisions=edited(tmp_path / "p.yaml", nginx=change))
    site = _service(plan, "site")
    assert site.run.entrypoint == tuple(change["command"]) or site.specification is not None
    assert site.run.exposed_ports == ("8080/tcp", "80/tcp")
    assert [port.source for port in site.ports] == ["plan p.yaml", "/etc/nginx/nginx.conf"]
    assert (site.run.user, site.run.env) == ("no", (("PATH", "/usr/bin"), ("SECRET", "s3cret")))
    assert [data.path for data in site.data] == ["/srv/www"]
    assert site.run.stop_signal == "SIGTERM"
    assert site.resources == Resources(0.5, 256 << 20)
    assert site.health == HealthCheck(port=80, path="/ok")
    told = "\n".join(_told(plan))
    assert "is called site" in told
    assert "other values for PATH" in told
    assert "s3cret" not in told
    assert "worker_processes" not in told


def test_what_the_init_is_told_changes_with_it(tmp_path: Path) -> None:
    change = {"command": ["/opt/app/run", "-f"], "user": "other", "working_directory": "/srv", "name": "shop"}
    shop = _service(planned(decisions=edited(tmp_path / "p.yaml", app=change)), "shop")
    told = shop.specification
    assert told is not None
    assert (told.service, told.type, told.pid_file, told.stop) == ("shop", "simple", "", ())
    assert told.start[0].words == ("/opt/app/run", "-f")
    execution = told.execution
    assert (execution.user, execution.group, execution.working_directory) == ("other", "", "/srv")


def test_jobs_are_changed_and_dropped(tmp_path: Path) -> None:
    document = yaml.safe_load(written())
    document["jobs"]["backup"]["run"] = False
    document["jobs"]["backup.2"].update(schedule="5 4 * * *", commands=[["/bin/true"]], timezone="UTC")
    plan = planned(decisions=by_plan(tmp_path / "p.yaml", yaml.safe_dump(document)))
    (job,) = plan.jobs
    assert (job.schedule, job.at_boot, job.timezone) == ("5 4 * * *", False, "UTC")
    assert job.specification.start[0].words == ("/bin/true",)


@pytest.mark.parametrize(
    ("starts", "entrypoint", "service"), [("nginx", True, "nginx"), ("shell", False, ""), ("auto", False, "")]
)
def test_the_machines_own_image_starts_what_is_chosen(
    tmp_path: Path, starts: str, entrypoint: bool, service: str
) -> None:
    document = {**yaml.safe_load(written()), "starts": starts}
    plan = planned(decisions=by_plan(tmp_path / "p.yaml", yaml.safe_dump(document)))
    assert bool(plan.run.entrypoint) is entrypoint
    assert (plan.service, plan.starts) == ("", service)
    assert len(plan.services) == 3


def test_the_machines_resources(tmp_path: Path) -> None:
    document = {**yaml.safe_load(written()), "resources": {"memory": "1GiB"}}
    plan = planned(decisions=by_plan(tmp_path / "p.yaml", yaml.safe_dump(document)))
    assert (plan.resources.cpus, plan.resources.memory_bytes) == (4.0, 1 << 30)
    assert _told(plan) == ["machine its containers may take 4 cores, 1024 MiB"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("services: {ngin: {run: true}}", ("no service 'ngin'", "did you mean `nginx`?", "--plan-only")),
        ("jobs: {nightly: {}}", ("no job 'nightly'",)),
        ("starts: cron", ("`starts` names 'cron'", "auto, shell, nginx")),
        ("services: {nginx: {name: app}}", ("two services are called app",)),
    ],
)
def test_a_plan_that_does_not_fit_the_machine(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    decisions = by_plan(tmp_path / "p.yaml", f"version: 1\nmachine: Web 01\n{text}\n")
    with pytest.raises(PlanError) as caught:
        planned(decisions=decisions)
    for word in ("p.yaml", *words):
        assert word in str(caught.value)


def test_an_entry_that_was_switched_off_may_be_of_a_service_that_is_gone(tmp_path: Path) -> None:
    text = "version: 1\nmachine: Web 01\nservices: {gone: {run: false}}\n"
    assert planned(decisions=by_plan(tmp_path / "p.yaml", text)) == planned()


def test_a_plan_of_another_release_is_told(tmp_path: Path) -> None:
    text = "version: 1\nmachine: Web 01\nguest: {release: debian 11, architecture: amd64}\n"
    plan = planned(decisions=by_plan(tmp_path / "p.yaml", text))
    assert "made for release debian 11, and the guest has debian 12 now" in plan.notes[-1]
