"""Rules over many machines: what they decide, in which order, and how it is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from converters.errors import PlanError
from converters.planfile.decide import Decisions
from converters.planfile.rules import compiled
from tests.converters.planfile.machines import by_plan, by_rules, planned

RULES = """
version: 1
classify:
- services: ["acme-*"]
  role: platform
  reason: the hosts have an agent of their own
- services: [cron]
  role: application
  reason: its crontab does the work here
rules:
- when: machine matches "Web *" and service == "nginx"
  service:
    environment: {TZ: UTC, PATH: /sbin}
    ports: [8443/tcp]
    resources: {memory: 512MiB}
- when: user != "root"
  service: {health: {command: [/bin/true]}}
- when: job matches "backup*" and schedule != ""
  job: {run: false, reason: the storage keeps copies}
- when: release == "debian" and major == 12 and memory_mib >= 2048
  machine: {resources: {cpus: 1.5}}
- when: machine == "another"
  machine: {starts: shell}
"""


def test_rules_decide_in_order_and_are_told(tmp_path: Path) -> None:
    plan = planned(decisions=by_rules(tmp_path / "fleet.yaml", RULES))
    assert [service.name for service in plan.services] == ["nginx", "app", "cron"]
    nginx, app, _ = plan.services
    assert nginx.run.env == (("PATH", "/sbin"), ("TZ", "UTC"))
    assert nginx.run.exposed_ports == ("80/tcp", "443/udp", "8443/tcp")
    assert nginx.resources is not None
    assert (nginx.resources.cpus, nginx.resources.memory_bytes) == (4.0, 512 << 20)
    assert app.health is not None
    assert app.health.command == ("/bin/true",)
    assert [(job.name, job.at_boot) for job in plan.jobs] == [("backup", True)]
    assert plan.resources.cpus == 1.5
    assert plan.starts == ""
    told = [(one.subject, one.what, one.source) for one in plan.decisions]
    first = "entry 1 of `classify` in fleet.yaml"
    assert told[0] == (
        "service acme-agent",
        "gets no container: the hosts have an agent of their own",
        first,
    )
    assert {source for _, _, source in told[2:]} == {
        f"rule {number} of fleet.yaml" for number in (1, 2, 3, 4)
    }


def test_the_machines_own_plan_wins_over_rules(tmp_path: Path) -> None:
    rules = by_rules(tmp_path / "fleet.yaml", RULES)
    text = "version: 1\nmachine: Web 01\nservices: {acme-agent: {run: true}, nginx: {ports: [80]}}\n"
    own = by_plan(tmp_path / "p.yaml", text)
    both = Decisions(rules.rules, rules.rules_name, own.plan, own.plan_name)
    plan = planned(decisions=both)
    assert "acme-agent" in [service.name for service in plan.services]
    assert plan.services[0].run.exposed_ports == ("80/tcp",)
    last = [one for one in plan.decisions if one.subject == "service acme-agent"][-1]
    assert last.source == "plan p.yaml"


def test_the_built_in_table_can_be_switched_off(tmp_path: Path) -> None:
    plan = planned(decisions=by_rules(tmp_path / "r.yaml", "version: 1\nbuiltin: false\n"))
    assert "cron" in [service.name for service in plan.services]
    assert plan.decisions[0].source == "`builtin: false` in r.yaml"


def test_a_condition_that_is_not_understood_is_told_before_anything_is_read(tmp_path: Path) -> None:
    decisions = by_rules(
        tmp_path / "r.yaml", 'version: 1\nrules:\n- when: servce == "a"\n  service: {run: false}\n'
    )
    assert decisions.rules is not None
    with pytest.raises(PlanError, match=r"rule 1 of r\.yaml, `when`: column 1: servce is not known"):
        compiled(decisions.rules, "r.yaml")
    job = by_rules(tmp_path / "j.yaml", 'version: 1\nrules:\n- when: service == "a"\n  job: {run: false}\n')
    assert job.rules is not None
    with pytest.raises(PlanError, match=r"there are: machine, .*source"):
        compiled(job.rules, "j.yaml")
