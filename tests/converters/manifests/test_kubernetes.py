"""Kubernetes manifests: valid by the schemas, and what the machine was."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from converters.guest.facts import DataDirectory
from converters.image.config import RunConfig
from converters.manifests.describe import machine
from converters.manifests.kubernetes.folder import KUSTOMIZATION, kubernetes
from converters.manifests.kubernetes.objects import schedule
from converters.plan import ImagePlan, Resources
from converters.request import ServiceImage
from tests.converters.manifests.machines import (
    AT_BOOT,
    DATABASE,
    IMAGES,
    JOB,
    NGINX,
    PLAN,
    REFERENCE,
    REPOSITORY,
)

KUBERNETES = "1.28"


def _objects(plan: ImagePlan, images: tuple[ServiceImage, ...] = IMAGES) -> dict[str, dict[str, Any]]:
    files = kubernetes(machine(plan, REFERENCE, images))
    applied = yaml.safe_load(files[KUSTOMIZATION])["resources"]
    found: dict[str, dict[str, Any]] = {}
    for name, text in files.items():
        for one in yaml.safe_load_all(text):
            if name != KUSTOMIZATION:
                kubernetes_validate.validate(one, KUBERNETES, strict=True)
            if name in applied:
                found[one["kind"]] = one
    return found


def _pod(plan: ImagePlan, images: tuple[ServiceImage, ...] = IMAGES) -> dict[str, Any]:
    objects = _objects(plan, images)
    workload = objects.get("StatefulSet") or objects["Deployment"]
    pod = workload["spec"]["template"]["spec"]
    assert isinstance(pod, dict)
    return pod


def test_services_share_a_pod() -> None:
    objects = _objects(PLAN)
    assert list(objects) == ["ConfigMap", "Service", "StatefulSet", "CronJob", "PriorityClass"]
    pod = objects["StatefulSet"]["spec"]["template"]["spec"]
    nginx, database = pod["containers"]
    assert (nginx["name"], nginx["image"]) == ("nginx", f"{REPOSITORY}@{IMAGES[0].digest}")
    assert nginx["ports"][1] == {"containerPort": 443, "protocol": "UDP"}
    assert nginx["readinessProbe"]["exec"]["command"] == ["/.orchestrate/init", "--listens", "80/tcp"]
    assert "livenessProbe" not in database and "startupProbe" not in database
    assert nginx["resources"] == {
        "limits": {"cpu": "1500m", "memory": "2048Mi"},
        "requests": {"cpu": "250m", "memory": "512Mi"},
    }
    assert database["securityContext"] == {"capabilities": {"add": ["IPC_LOCK", "NET_BIND_SERVICE"]}}
    assert (pod["hostname"], pod["terminationGracePeriodSeconds"]) == ("web01", 905)
    assert pod["automountServiceAccountToken"] is False
    assert pod["nodeSelector"] == {"kubernetes.io/arch": "amd64"}
    assert pod["priorityClassName"] == objects["PriorityClass"]["metadata"]["name"] == "orchestrate-high"
    assert {mount["name"] for mount in nginx["volumeMounts"]} == {"srv", "run-mysqld"}
    assert pod["volumes"] == [{"name": "run-mysqld", "emptyDir": {"medium": "Memory"}}]
    assert {"ip": "192.0.2.7", "hostnames": ["db01.example.org", "db01"]} in pod["hostAliases"]
    service = objects["Service"]["spec"]
    assert [port["port"] for port in service["ports"]] == [80, 443, 3306]
    labels = objects["StatefulSet"]["spec"]["template"]["metadata"]["labels"]
    assert service["selector"].items() <= labels.items()


def test_a_pod_asks_for_no_more_than_the_machine_had_reserved() -> None:
    resources = replace(PLAN.resources, cpus_reserved=0.0, memory_reserved_bytes=0)
    for container in _pod(replace(PLAN, resources=resources))["containers"]:
        assert container["resources"]["requests"] == {"cpu": "0m", "memory": "0Mi"}
    above = replace(PLAN.resources, cpus_reserved=4.0)
    requests = [one["resources"]["requests"] for one in _pod(replace(PLAN, resources=above))["containers"]]
    assert requests[0]["cpu"] == "750m"


def test_claims_are_as_large_as_the_machines_volumes() -> None:
    claims = _objects(PLAN)["StatefulSet"]["spec"]["volumeClaimTemplates"]
    sizes = {one["metadata"]["name"]: one["spec"]["resources"]["requests"]["storage"] for one in claims}
    assert sizes == {"srv": "5120Mi", "var-lib-mysql": "10240Mi"}


def test_claims_have_room_for_twice_the_files() -> None:
    plan = replace(PLAN, data_bytes=(("/var/lib/mysql", 40 << 30), ("/srv", 40 << 30)))
    claims = _objects(plan)["StatefulSet"]["spec"]["volumeClaimTemplates"]
    sizes = {one["metadata"]["name"]: one["spec"]["resources"]["requests"]["storage"] for one in claims}
    assert sizes == {"srv": "5120Mi", "var-lib-mysql": "81920Mi"}
    endless = replace(PLAN, data_bytes=(("/var/lib/mysql", 1 << 70),))
    (_, claim) = _objects(endless)["StatefulSet"]["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == f"{1 << 30}Mi"


def _seed(places: list[str], home: Path) -> None:
    """Runs the seeding container's script over folders of this machine."""
    (seed,) = _pod(PLAN)["initContainers"]
    script = seed["args"][0].replace("$$", "$").replace("/.orchestrate/volumes", str(home))
    assert (seed["command"], seed["securityContext"]["runAsUser"]) == (["/bin/sh", "-c"], 0)
    # This machine's disks are not to be waited for.
    (home / "sync").write_text("#!/bin/sh\n")
    (home / "sync").chmod(0o755)
    environment = {"PATH": f"{home}:/usr/bin:/bin"}
    subprocess.run(["/bin/sh", "-c", script, "seed", *places], env=environment, check=True)


def test_data_comes_out_of_the_image_once(tmp_path: Path) -> None:
    image, volume = tmp_path / "it's $$ an image", tmp_path / "data"
    image.mkdir(mode=0o750)
    volume.mkdir()
    (volume / "lost+found").mkdir()
    (image / ".hidden").write_text("x")
    (image / "file").write_text("first")
    places = [str(image), "data", str(tmp_path / "absent"), "data"]
    _seed(places, tmp_path)
    assert {one.name for one in volume.iterdir()} == {"lost+found", ".hidden", "file"}
    assert volume.stat().st_mode == image.stat().st_mode
    (image / "file").write_text("second")
    _seed(places, tmp_path)
    assert (volume / "file").read_text() == "first"
    # A node that fails in the middle of the copy leaves the mark.
    (volume / ".orchestrate-seeding").touch()
    (volume / "file").unlink()
    _seed(places, tmp_path)
    assert (volume / "file").read_text() == "second"
    assert not (volume / ".orchestrate-seeding").exists()


def test_jobs_are_cron_jobs() -> None:
    files = kubernetes(machine(PLAN, REFERENCE, IMAGES))
    (job,) = yaml.safe_load_all(files["cronjobs.yaml"])
    assert (job["metadata"]["name"], job["spec"]["schedule"]) == ("web-01-job-app-1", "0 3 * * 0")
    assert job["spec"]["timeZone"] == "Europe/Paris"
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["command"] == ["/.orchestrate/init", "/.orchestrate/jobs/app-1.json"]
    assert (container["image"], container["securityContext"]["runAsUser"]) == (REFERENCE, 0)
    claims = [volume["persistentVolumeClaim"]["claimName"] for volume in pod["volumes"]]
    assert claims == ["srv-web-01-0", "var-lib-mysql-web-01-0"]
    assert "at localhost" in files["cronjobs.yaml"]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [("7", "0"), ("5-7", "5,6,0"), ("1-7/2", "1,3,5,0"), ("0,7", "0"), ("1-5", "1-5"), ("*/2", "*/2")],
)
def test_kubernetes_has_no_seventh_day(given: str, wanted: str) -> None:
    assert schedule(f"0 0 * * {given}") == f"0 0 * * {wanted}"


@pytest.mark.parametrize("zone", ["", "Local", "localtime", "a b", "../x", "x" * 99])
def test_a_zone_that_is_none_is_left_out(zone: str) -> None:
    job = _objects(replace(PLAN, jobs=(replace(JOB, timezone=zone),)))["CronJob"]
    assert "timeZone" not in job["spec"]


def test_jobs_whose_names_differ_in_case_stay_two() -> None:
    plan = replace(PLAN, jobs=(replace(JOB, name="Backup"), replace(JOB, name="backup"), AT_BOOT))
    files = kubernetes(machine(plan, REFERENCE, IMAGES))
    names = {one["metadata"]["name"] for one in yaml.safe_load_all(files["cronjobs.yaml"])}
    assert len(names) == 2


def test_one_service_is_what_the_machines_own_image_starts() -> None:
    plan = replace(
        PLAN, service="nginx", services=(NGINX,), jobs=(), directories=(), hosts=(), data_volumes=()
    )
    objects = _objects(plan, ())
    (container,) = objects["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert (container["image"], container["name"]) == (REFERENCE, "nginx")
    assert container["readinessProbe"]["tcpSocket"] == {"port": 80}
    assert objects["Deployment"]["spec"]["strategy"] == {"type": "Recreate"}
    assert "publishNotReadyAddresses" not in objects["Service"]["spec"]


def test_a_machine_without_a_service_is_a_shell() -> None:
    plan = replace(PLAN, services=(), jobs=(), resources=Resources(None, None), data_volumes=())
    objects = _objects(plan, ())
    assert list(objects) == ["Deployment"]
    (container,) = objects["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert (container["tty"], container["image"], "resources" in container) == (True, REFERENCE, False)


def test_a_service_name_begins_with_a_letter() -> None:
    files = kubernetes(machine(PLAN, f"host/01-web@sha256:{'a' * 64}", IMAGES))
    (service,) = yaml.safe_load_all(files["service.yaml"])
    assert service["metadata"]["name"] == "vm-01-web"


@pytest.mark.parametrize("hostname", ["", "UPPER", "a_b", "-x", "x" * 64])
def test_names_obey_the_limits(hostname: str) -> None:
    long = replace(NGINX, name="a" * 80 + "@B.c_d", data=(DataDirectory("/d" * 60, "x"),))
    plan = replace(PLAN, hostname=hostname, services=(long, DATABASE), jobs=(replace(JOB, name="j" * 80),))
    images = tuple(ServiceImage(one.name, b"", "sha256:x") for one in plan.services)
    spec = _pod(plan, images)
    names = [one["name"] for one in (*spec["containers"], *spec["initContainers"])]
    assert all(len(name) <= 63 for name in names) and len({*names}) == len(names)
    assert spec.get("hostname") in (None, "upper")
    assert len(_objects(plan, images)["CronJob"]["metadata"]["name"]) <= 52


def test_variables_that_kubernetes_cannot_set_stay_in_the_image() -> None:
    run = RunConfig(env=(("A B", "x"), ("GOOD", "y"), ("1BAD", "z"), ("BIG", "x" * 1_000_000)))
    plan = replace(PLAN, services=(replace(NGINX, run=run), DATABASE))
    files = kubernetes(machine(plan, REFERENCE, IMAGES))
    (nginx, _) = yaml.safe_load_all(files["configmap.yaml"])
    assert nginx["data"] == {"GOOD": "y"}


def test_the_same_text_each_time() -> None:
    files = kubernetes(machine(PLAN, REFERENCE, IMAGES))
    assert files == kubernetes(machine(PLAN, REFERENCE, IMAGES))
    assert files[KUSTOMIZATION].startswith(
        "# Machine Web 01, services nginx, mariadb@Main: kubectl apply -k .\n"
    )
