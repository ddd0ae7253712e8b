"""Compose files: valid by the specification's own schema, and read back as what was meant."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.guest.facts import Port
from converters.image.config import RunConfig
from converters.init.specification import Specification
from converters.manifests.compose import compose
from converters.manifests.yaml_text import quoted
from converters.plan import ImagePlan, Resources, ServicePlan
from tests.compose_schema import compose_schema
from tests.composed import composed
from tests.converters.manifests.machines import (
    DATABASE,
    IMAGES,
    PLAN,
    PRIVILEGE,
    REFERENCE,
    REPOSITORY,
)

RUN = RunConfig(
    entrypoint=("/usr/sbin/nginx",),
    env=(("HASH", "$2b$12$Pg8A"), ("ANSWER", "yes"), ("MODE", "0755")),
    exposed_ports=("22/tcp", "80/tcp", "53/udp"),
    labels=(("orchestrate.vm.name", "Web 01"),),
)
ALONE = replace(
    PLAN,
    run=RUN,
    service="nginx",
    services=(ServicePlan("nginx", RUN),),
    jobs=(),
    hosts=(),
    search_domains=(),
    data_volumes=(),
)
SHELL = replace(
    ALONE,
    service="",
    services=(),
    architecture="",
    hostname="",
    run=RunConfig(cmd=("/bin/sh",)),
    resources=Resources(None, None),
)


def _service(plan: ImagePlan, reference: str = REFERENCE) -> dict[str, Any]:
    (service,) = yaml.safe_load(compose(plan, reference))["services"].values()
    assert isinstance(service, dict)
    return service


@pytest.mark.parametrize("plan", [PLAN, ALONE, SHELL], ids=["several", "service", "shell"])
def test_valid_by_the_specification(plan: ImagePlan) -> None:
    document = yaml.safe_load(compose(plan, REFERENCE, IMAGES))
    jsonschema.validate(document, compose_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**document, "services": {"web": {"ports": {"80": "80"}}}}, compose_schema())


def test_docker_compose_reads_what_was_meant(tmp_path: Path) -> None:
    services = composed(compose(PLAN, REFERENCE, IMAGES), tmp_path)
    database = services["mariadb-main"]
    assert database["environment"] == dict(DATABASE.run.env)
    assert (database["cpus"], database["mem_limit"], database["stop_grace_period"]) == (
        *(1.5, str(2 << 30), "15m5s"),
    )
    assert database["network_mode"] == "service:web-01" and [*database["depends_on"]] == ["web-01"]
    assert {one["target"]: one["type"] for one in database["volumes"]} == dict.fromkeys(
        ("/srv", "/var/lib/mysql", "/run/mysqld"), "volume"
    )
    owner = services["web-01"]
    published = [(one["published"], one["target"], one["protocol"]) for one in owner["ports"]]
    assert published == [("80", 80, "tcp"), ("443", 443, "udp"), ("3306", 3306, "tcp")]
    assert {"db01=192.0.2.7", "db01=2001:db8::7"} <= {*owner["extra_hosts"]}


def test_what_it_says() -> None:
    document = yaml.safe_load(compose(ALONE, REFERENCE))
    assert document["name"] == "web-01"
    assert document["services"]["web-01"] == {
        "image": REFERENCE,
        "platform": "linux/amd64",
        "container_name": "web-01",
        "hostname": "web01.example.org",
        "restart": "unless-stopped",
        "cpus": 1.5,
        "cpu_shares": 2048,
        "mem_limit": "2048m",
        "mem_reservation": "1024m",
        "ports": ["22:22", "80:80", "53:53/udp"],
        "stop_grace_period": "90s",
        "environment": {"ANSWER": "yes", "HASH": "$$2b$$12$$Pg8A", "MODE": "0755"},
        "labels": {"orchestrate.vm.name": "Web 01"},
    }


def test_a_shell_is_kept_running() -> None:
    assert _service(SHELL) == {
        "image": REFERENCE,
        "container_name": "web-01",
        "restart": "unless-stopped",
        "tty": True,
        "stdin_open": True,
        "stop_grace_period": "1s",
    }


@pytest.mark.parametrize(
    ("priority", "restart"),
    [("disabled", "no"), ("lowest", "unless-stopped"), ("highest", "unless-stopped"), ("", "unless-stopped")],
)
def test_restart_by_ha_priority(priority: str, restart: str) -> None:
    plan = replace(ALONE, resources=replace(PLAN.resources, restart_priority=priority))
    assert _service(plan)["restart"] == restart


@pytest.mark.parametrize("hostname", ["", "-x", "a b", "x" * 65, "ümlaut"])
def test_a_host_name_that_no_engine_takes_is_left_out(hostname: str) -> None:
    assert "hostname" not in _service(replace(ALONE, hostname=hostname))


@pytest.mark.parametrize("reference", [f"host/x:latest@sha256:{'a' * 64}", f"x@sha256:{'a' * 64}"])
def test_names_come_from_the_reference(reference: str) -> None:
    document = yaml.safe_load(compose(ALONE, reference))
    assert (document["name"], list(document["services"])) == ("x", ["x"])


def test_the_order_of_the_environment_does_not_matter() -> None:
    run = replace(RUN, env=tuple(reversed(RUN.env)))
    other = replace(ALONE, run=run, services=(ServicePlan("nginx", run),))
    assert compose(other, REFERENCE) == compose(ALONE, REFERENCE)


texts = st.text(st.characters(exclude_categories=["Cs"]))


@settings(deadline=None)
@given(texts)
def test_quoted_text_comes_back(text: str) -> None:
    assert yaml.safe_load(quoted(text)) == text


@settings(deadline=None)
@given(note=texts, machine=texts, hostname=texts)
def test_untrusted_text_stays_in_its_place(note: str, machine: str, hostname: str) -> None:
    plan = replace(ALONE, name=machine, notes=(note,), hostname=hostname)
    document = yaml.safe_load(compose(plan, REFERENCE))
    assert set(document) == {"name", "services"}
    (service,) = document["services"].values()
    wanted = _service(ALONE)
    assert {**service, "hostname": ""} == {**wanted, "hostname": ""}


def test_several_services_share_network_sockets_and_data() -> None:
    document = yaml.safe_load(compose(PLAN, REFERENCE, IMAGES))
    services = document["services"]
    assert list(services) == ["web-01", "nginx", "mariadb-main", "job-app-1", "job-app-2"]
    machine, nginx, database, *_ = services.values()
    assert (machine["image"], machine["tty"], machine["hostname"]) == (REFERENCE, True, "web01.example.org")
    assert machine["ports"] == ["80:80", "443:443/udp", "3306:3306"]
    assert machine["extra_hosts"] == ["db01.example.org:192.0.2.7", "db01:192.0.2.7", "db01:2001:db8::7"]
    assert {one["network_mode"] for one in (nginx, database)} == {"service:web-01"}
    assert [one["image"] for one in (nginx, database)] == [f"{REPOSITORY}@{one.digest}" for one in IMAGES]
    assert database["container_name"] == "web-01.mariadb-main"
    assert document["volumes"] == {"srv": {}, "var-lib-mysql": {}, "run-mysqld": {}}
    everything = ["srv:/srv", "var-lib-mysql:/var/lib/mysql", "run-mysqld:/run/mysqld"]
    assert machine["volumes"] == database["volumes"] == everything
    assert nginx["volumes"] == [everything[0], everything[2]]
    assert not nginx.keys() & {"ports", "hostname", "extra_hosts"}
    assert (database["cap_add"], database["stop_grace_period"]) == (["IPC_LOCK"], "905s")
    assert database["healthcheck"] == {
        "test": ["CMD", "/.orchestrate/init", "--listens", "3306/tcp"],
        "interval": "30s",
        "timeout": "10s",
        "start_period": "300s",
    }


def test_jobs_wait_for_somebody_to_start_them() -> None:
    text = compose(PLAN, REFERENCE, IMAGES)
    job = yaml.safe_load(text)["services"]["job-app-1"]
    assert (job["profiles"], job["network_mode"], job["user"]) == (["jobs"], "service:web-01", "0:0")
    assert job["entrypoint"] == ["/.orchestrate/init", "/.orchestrate/jobs/app-1.json"]
    assert "# It ran 0 3 * * 7 (Europe/Paris): docker compose run --rm job-app-1\n" in text


def test_a_privilege_is_all_that_a_container_gets() -> None:
    plan = replace(PLAN, services=(PLAN.services[0], replace(DATABASE, privilege=PRIVILEGE)))
    document = yaml.safe_load(compose(plan, REFERENCE, IMAGES))
    jsonschema.validate(document, compose_schema())
    database = document["services"]["mariadb-main"]
    assert (database["cap_drop"], database["cap_add"]) == (["ALL"], ["NET_ADMIN", "SETUID"])
    assert database["devices"] == ["/dev/net/tun:/dev/net/tun"]
    assert database["security_opt"] == ["no-new-privileges:true"]
    machine = document["services"]["web-01"]
    assert machine["sysctls"] == {"net.ipv4.ip_unprivileged_port_start": "0"}
    host = replace(DATABASE, privilege=replace(PRIVILEGE, host_network=True))
    document = yaml.safe_load(compose(replace(PLAN, services=(PLAN.services[0], host)), REFERENCE, IMAGES))
    jsonschema.validate(document, compose_schema())
    machine = document["services"]["web-01"]
    assert machine["network_mode"] == "host" and not machine.keys() & {"ports", "sysctls"}


def test_a_stop_without_a_limit_gets_one() -> None:
    told = replace(DATABASE, specification=Specification("x"), stop_seconds=0)
    assert _service(replace(ALONE, services=(told,)))["stop_grace_period"] == "3605s"


@pytest.mark.parametrize("asks", [True, False])
def test_who_asks_for_the_ipv6_loopback_gets_it(asks: bool) -> None:
    port = Port(80, "tcp", "test", ipv6_loopback=asks)
    service = _service(replace(ALONE, services=(ServicePlan("nginx", RUN, ports=(port,)),)))
    assert service.get("sysctls") == ({"net.ipv6.conf.all.disable_ipv6": "0"} if asks else None)
