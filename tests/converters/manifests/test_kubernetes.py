"""Kubernetes manifests: valid by the schemas, and what the machine was."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import kubernetes_validate
import pytest
import yaml

from converters.guest.facts import DataDirectory, Directory, Port
from converters.image.config import RunConfig
from converters.init.specification import Execution, Specification
from converters.manifests.kubernetes import kubernetes
from converters.plan import ImagePlan, Resources, ServicePlan
from converters.request import ServiceImage
from converters.scheduled import JobPlan

KUBERNETES = "1.28"
REFERENCE = f"registry.example.org:5000/demo/web-01@sha256:{'a' * 64}"
NGINX = ServicePlan(
    "nginx",
    RunConfig(entrypoint=("/usr/sbin/nginx",), exposed_ports=("80/tcp", "443/udp")),
    ports=(Port(81, "tcp", "x", loopback=True), Port(80, "tcp", "x")),
)
DB = ServicePlan(
    "mariadb@Main",
    RunConfig(entrypoint=("/.orchestrate/init", "/x"), exposed_ports=("3306/tcp",)),
    Specification("mariadb", execution=Execution(ambient_capabilities=("CAP_IPC_LOCK",)), stop_seconds=900),
    ports=(Port(3306, "tcp", "x"),),
    data=(DataDirectory("/var/lib/my sql's", "its unit"),),
)
JOB = JobPlan(
    "app-1", "/etc/cron.d/app", "0 3 * * *", False, "Europe/Paris", Specification("app-1", "oneshot")
)
PLAN = ImagePlan(
    name="Web 01",
    hostname="web01.example.org",
    architecture="amd64",
    run=RunConfig(cmd=("/bin/sh",)),
    resources=Resources(cpus=1.5, memory_bytes=2 << 30, cpus_reserved=0.5, memory_reserved_bytes=1 << 30),
    services=(NGINX, DB),
    jobs=(JOB, replace(JOB, name="app-2", schedule="")),
    directories=(Directory("/run/mysqld", 0o755, 1, 1, "unit"),),
    notes=("A note\nof two lines: yes",),
)
IMAGES = tuple(
    ServiceImage(one.name, b"", f"sha256:{number:064}") for number, one in enumerate(PLAN.services)
)


def _objects(plan: ImagePlan, images: tuple[ServiceImage, ...] = IMAGES) -> dict[str, dict[str, Any]]:
    objects = list(yaml.safe_load_all(kubernetes(plan, REFERENCE, images)))
    for one in objects:
        kubernetes_validate.validate(one, KUBERNETES, strict=True)
    return {one["kind"]: one for one in objects}


def test_services_share_a_pod() -> None:
    objects = _objects(PLAN)
    assert list(objects) == ["Service", "StatefulSet", "CronJob"]
    pod = objects["StatefulSet"]["spec"]["template"]["spec"]
    nginx, database = pod["containers"]
    assert (nginx["name"], nginx["image"]) == (
        "nginx",
        f"registry.example.org:5000/demo/web-01@sha256:{0:064}",
    )
    assert nginx["ports"][1] == {"containerPort": 443, "protocol": "UDP"}
    assert nginx["readinessProbe"]["tcpSocket"] == {"port": 80}
    assert nginx["resources"] == {
        "limits": {"cpu": "1500m", "memory": "2048Mi"},
        "requests": {"cpu": "250m", "memory": "512Mi"},
    }
    assert database["securityContext"] == {"capabilities": {"add": ["IPC_LOCK"]}}
    assert (pod["hostname"], pod["terminationGracePeriodSeconds"]) == ("web01", 905)
    assert pod["automountServiceAccountToken"] is False
    assert {mount["name"] for mount in nginx["volumeMounts"]} == {"run-mysqld"}
    assert pod["volumes"] == [{"name": "run-mysqld", "emptyDir": {"medium": "Memory"}}]
    service = objects["Service"]["spec"]
    assert [port["port"] for port in service["ports"]] == [80, 443, 3306]
    labels = objects["StatefulSet"]["spec"]["template"]["metadata"]["labels"]
    assert service["selector"].items() <= labels.items()


def test_data_comes_out_of_the_image_once() -> None:
    spec = _objects(PLAN)["StatefulSet"]["spec"]
    (claim,) = spec["volumeClaimTemplates"]
    (seed,) = spec["template"]["spec"]["initContainers"]
    (mount,) = (
        one
        for one in spec["template"]["spec"]["containers"][1]["volumeMounts"]
        if "my sql" in one["mountPath"]
    )
    assert claim["metadata"]["name"] == mount["name"] == seed["volumeMounts"][0]["name"]
    assert mount["mountPath"] == "/var/lib/my sql's"
    assert "cp -a '/var/lib/my sql'\\''s'/. '/.orchestrate/volume/'" in seed["command"][2]


def test_jobs_are_cron_jobs() -> None:
    job = _objects(PLAN)["CronJob"]
    assert (job["metadata"]["name"], job["spec"]["schedule"]) == ("web-01-app-1", "0 3 * * *")
    assert job["spec"]["timeZone"] == "Europe/Paris"
    (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["/.orchestrate/init", "/.orchestrate/jobs/app-1.json"]
    assert container["image"] == REFERENCE


def test_one_service_is_what_the_machines_own_image_starts() -> None:
    plan = replace(PLAN, service="nginx", services=(NGINX,), jobs=(), directories=())
    objects = _objects(plan, ())
    (container,) = objects["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert (container["image"], container["name"]) == (REFERENCE, "nginx")
    assert objects["Deployment"]["spec"]["strategy"] == {"type": "Recreate"}


def test_a_machine_without_a_service_is_a_shell() -> None:
    objects = _objects(replace(PLAN, services=(), jobs=(), resources=Resources(None, None)), ())
    assert list(objects) == ["Deployment"]
    (container,) = objects["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert (container["tty"], container["image"], "resources" in container) == (True, REFERENCE, False)


@pytest.mark.parametrize("hostname", ["", "UPPER", "a_b", "-x", "x" * 64])
def test_names_obey_the_limits(hostname: str) -> None:
    long = replace(NGINX, name="a" * 80 + "@B.c_d", data=(DataDirectory("/" + "d/" * 60, "x"),))
    plan = replace(PLAN, hostname=hostname, services=(long, DB), jobs=(replace(JOB, name="j" * 80),))
    images = tuple(ServiceImage(one.name, b"", "sha256:x") for one in plan.services)
    spec = _objects(plan, images)["StatefulSet"]["spec"]["template"]["spec"]
    names = [one["name"] for one in (*spec["containers"], *spec["initContainers"])]
    assert all(len(name) <= 63 for name in names) and len({*names}) == len(names)
    assert spec.get("hostname") in (None, "upper")


def test_the_same_text_each_time() -> None:
    text = kubernetes(PLAN, REFERENCE, IMAGES)
    assert text == kubernetes(PLAN, REFERENCE, IMAGES)
    assert text.startswith("# Machine Web 01.\n# A note")
