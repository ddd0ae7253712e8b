"""Compose files: valid by the specification's own schema, and read back as what was meant."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from converters.guest.facts import DataDirectory, Directory
from converters.image.config import RunConfig
from converters.init.specification import Execution, Specification
from converters.init.specification import Path as SpecificationPath
from converters.manifests.compose import compose
from converters.manifests.yaml_text import quoted
from converters.plan import ImagePlan, Resources, ServicePlan
from converters.request import ServiceImage
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


SEVERAL = replace(
    SHELL_PLAN,
    hostname="web01",
    directories=(Directory("/run/php", 0o755, 33, 33, "unit"), Directory("/run/lock", 0o1777, 0, 0, "x")),
    services=(
        ServicePlan("nginx", RunConfig(entrypoint=("/usr/sbin/nginx",), exposed_ports=("80/tcp",))),
        ServicePlan(
            "php8.2-fpm",
            RunConfig(
                entrypoint=("/.orchestrate/init", "/x"), exposed_ports=("9000/tcp",), env=(("A", "$B"),)
            ),
            Specification(
                "php8.2-fpm",
                paths=(
                    SpecificationPath("directory", "/run/pool/a"),
                    SpecificationPath("directory", "/var/lib/x"),
                ),
                execution=Execution(ambient_capabilities=("CAP_IPC_LOCK", "CAP_NET_BIND_SERVICE")),
                stop_seconds=12.5,
            ),
            data=(DataDirectory("/var/lib/x", "its unit"),),
        ),
    ),
)
IMAGES = tuple(
    ServiceImage(service.name, b"", f"sha256:{number:064}") for number, service in enumerate(SEVERAL.services)
)


def test_several_services_share_network_and_sockets() -> None:
    document = yaml.safe_load(compose(SEVERAL, REFERENCE, IMAGES))
    jsonschema.validate(document, compose_schema())
    services = document["services"]
    assert list(services) == ["web-01", "nginx", "php8.2-fpm"]
    machine, nginx, php = services.values()
    assert (machine["image"], machine["tty"], machine["hostname"]) == (REFERENCE, True, "web01")
    assert machine["ports"] == ["80:80", "9000:9000"]
    assert {one["network_mode"] for one in (nginx, php)} == {"service:web-01"}
    assert [one["image"] for one in (nginx, php)] == [
        f"registry.example.org:5000/demo/web-01@{image.digest}" for image in IMAGES
    ]
    assert (nginx["container_name"], php["container_name"]) == ("web-01-nginx", "web-01-php8.2-fpm")
    assert document["volumes"] == {"php8.2-fpm-var-lib-x": {}, "run-php": {}, "run-pool": {}}
    shared = ["run-php:/run/php", "run-pool:/run/pool"]
    assert [one["volumes"] for one in services.values()] == [
        shared,
        shared,
        ["php8.2-fpm-var-lib-x:/var/lib/x", *shared],
    ]
    assert "ports" not in nginx and "hostname" not in nginx
    assert (php["cap_add"], php["stop_grace_period"]) == (["IPC_LOCK"], "18s")
    assert php["environment"] == {"A": "$$B"}


def test_a_stop_without_a_limit_gets_one() -> None:
    told = replace(SEVERAL.services[1], specification=Specification("x", stop_seconds=0))
    plan = replace(SEVERAL, services=(told,), service="php8.2-fpm")
    assert _service(plan)["stop_grace_period"] == "3605s"
