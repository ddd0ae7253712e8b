"""Compose files: valid by the specification's own schema, and read back as what was meant."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from converters.image.config import RunConfig
from converters.manifests.compose import compose
from converters.manifests.yaml_text import quoted
from converters.plan import ImagePlan, Resources
from tests.compose_schema import compose_schema

DIGEST = "sha256:" + "a" * 64
REFERENCE = f"registry.example.org:5000/demo/web-01@{DIGEST}"

PLAN = ImagePlan(
    name="Web 01 (old)",
    hostname="web01.example.org",
    architecture="amd64",
    run=RunConfig(
        entrypoint=("/usr/sbin/nginx",),
        env=(("HASH", "$2b$12$Pg8A"), ("ANSWER", "yes"), ("MODE", "0755")),
        exposed_ports=("22/tcp", "80/tcp", "53/udp"),
        labels=(("orchestrate.vm.name", "Web 01 (old)"),),
    ),
    resources=Resources(
        cpus=1.5, memory_bytes=2 << 30, memory_reserved_bytes=512 << 20, restart_priority="high"
    ),
    service="nginx",
    notes=("First line\nsecond: line",),
)


def _service(plan: ImagePlan, reference: str = REFERENCE) -> dict[str, Any]:
    (service,) = yaml.safe_load(compose(plan, reference))["services"].values()
    assert isinstance(service, dict)
    return service


SHELL_PLAN = replace(
    PLAN,
    service="",
    architecture="",
    hostname="",
    run=RunConfig(cmd=("/bin/sh",)),
    resources=Resources(None, None),
)


@pytest.mark.parametrize("plan", [PLAN, SHELL_PLAN], ids=["service", "shell"])
def test_valid_by_the_specification(plan: ImagePlan) -> None:
    document = yaml.safe_load(compose(plan, REFERENCE))
    jsonschema.validate(document, compose_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**document, "services": {"web": {"ports": {"80": "80"}}}}, compose_schema())


def test_what_it_says() -> None:
    document = yaml.safe_load(compose(PLAN, REFERENCE))
    assert document["name"] == "web-01"
    assert document["services"]["web-01"] == {
        "image": REFERENCE,
        "platform": "linux/amd64",
        "container_name": "web-01",
        "hostname": "web01.example.org",
        "restart": "unless-stopped",
        "cpus": 1.5,
        "mem_limit": "2048m",
        "mem_reservation": "512m",
        "ports": ["22:22", "80:80", "53:53/udp"],
        "environment": {"ANSWER": "yes", "HASH": "$$2b$$12$$Pg8A", "MODE": "0755"},
        "labels": {"orchestrate.vm.name": "Web 01 (old)"},
    }


def test_a_shell_is_kept_running() -> None:
    service = _service(SHELL_PLAN)
    assert service["tty"] is True and service["stdin_open"] is True
    assert not service.keys() & {
        "ports",
        "environment",
        "labels",
        "cpus",
        "mem_limit",
        "hostname",
        "platform",
    }


@pytest.mark.parametrize(
    ("priority", "restart"),
    [("disabled", "no"), ("lowest", "unless-stopped"), ("highest", "unless-stopped"), ("", "unless-stopped")],
)
def test_restart_by_ha_priority(priority: str, restart: str) -> None:
    plan = replace(PLAN, resources=replace(PLAN.resources, restart_priority=priority))
    assert _service(plan)["restart"] == restart


@pytest.mark.parametrize("hostname", ["", "-x", "a b", "x" * 65, "ümlaut"])
def test_a_host_name_that_no_engine_takes_is_left_out(hostname: str) -> None:
    assert "hostname" not in _service(replace(PLAN, hostname=hostname))


@pytest.mark.parametrize(
    ("reference", "project", "name"),
    [
        (f"localhost:5000/demo/a.b_c@{DIGEST}", "a-b_c", "a.b_c"),
        (f"host/x:latest@{DIGEST}", "x", "x"),
        (f"x@{DIGEST}", "x", "x"),
    ],
)
def test_names_come_from_the_reference(reference: str, project: str, name: str) -> None:
    document = yaml.safe_load(compose(PLAN, reference))
    assert document["name"] == project
    assert list(document["services"]) == [name]


def test_the_order_of_the_environment_does_not_matter() -> None:
    other = replace(PLAN, run=replace(PLAN.run, env=tuple(reversed(PLAN.run.env))))
    assert compose(other, REFERENCE) == compose(PLAN, REFERENCE)


texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(texts)
def test_quoted_text_comes_back(text: str) -> None:
    assert yaml.safe_load(quoted(text)) == text


@given(note=texts, value=texts, machine=texts, hostname=texts)
def test_untrusted_text_stays_in_its_place(note: str, value: str, machine: str, hostname: str) -> None:
    plan = replace(PLAN, name=machine, notes=(note,), hostname=hostname, run=RunConfig(env=(("X", value),)))
    service = _service(plan)
    assert service["environment"] == {"X": value.replace("$", "$$")}
    assert service["image"] == REFERENCE
    assert set(service) <= {
        *(
            "image",
            "platform",
            "container_name",
            "hostname",
            "restart",
            "cpus",
            "mem_limit",
            "mem_reservation",
        ),
        "environment",
    }
