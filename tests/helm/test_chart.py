"""The chart renders what Kubernetes takes, hides secrets, and refuses values that cannot work."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from distributed.cli import dask_scheduler, dask_worker

from converters import process
from deploy.demo.helm import helm
from orchestrator.cli.app import app
from orchestrator.errors import ExitCode
from orchestrator.settings import Settings, declaration

CHART = Path(__file__).parents[2] / "helm"
KUBERNETES = "1.31"
NEEDED = {
    "vcenter.existingSecret": "vcenter-login",
    "settings.vcenter": "vcenter.example",
    "settings.datacenter": "DC0",
    "settings.registry": "registry.example/vms",
}
MATRIX: dict[str, dict[str, str]] = {
    "one run": {},
    "scheduled": {"schedule": "0 22 * * *"},
    "existing scheduler": {"existingScheduler": "tls://dask.example:8786"},
    "secrets and certificates": {"registry.existingSecret": "push", "vcenter.caConfigMap": "authorities"},
    "shared ledger": {
        "settings.ledger": "postgresql://orchestrate@db.example/ledger",
        "ledger.existingSecret": "ledger-login",
    },
    "token": {"vcenter.existingSecret": "", "vcenter.tokenSecret": "vcenter-token"},
    "own claim": {"records.existingClaim": "ledger"},
    "pinned images": {"image.worker.digest": "sha256:" + "a" * 64},
    "ephemeral scratch": {
        "workers.scratch.volume.ephemeral.volumeClaimTemplate.spec.storageClassName": "ssd"
    },
}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def program() -> Path:
    return helm()


def render(program: Path, values: dict[str, str], *more: str) -> list[dict[str, Any]]:
    """The objects of a release named ``migrate``; ``more`` are helm's own words."""
    options = [word for key, value in values.items() for word in ("--set-string", f"{key}={value}")]
    options += more
    done = process.run([str(program), "template", "migrate", str(CHART), *options])
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def containers(objects: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Every container with the spec of its pod."""
    for item in objects:
        spec = item.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        pod: dict[str, Any] = spec.get("template", {}).get("spec", {})
        for container in pod.get("containers", ()):
            yield pod, container


def test_helm_finds_nothing_to_complain_about(program: Path) -> None:
    options = [word for key, value in NEEDED.items() for word in ("--set-string", f"{key}={value}")]
    done = process.run([str(program), "lint", "--strict", str(CHART), *options])
    assert b"0 chart(s) failed" in done.stdout


@pytest.mark.parametrize("case", MATRIX)
def test_kubernetes_takes_every_object(program: Path, case: str) -> None:
    objects = render(program, NEEDED | MATRIX[case])
    kinds = {item["kind"] for item in objects}
    assert ("CronJob" if case == "scheduled" else "Job") in kinds
    assert ("Deployment" in kinds) == (case != "existing scheduler")
    for item in objects:
        kubernetes_validate.validate(item, KUBERNETES, strict=True)


def test_the_schemas_catch_a_planted_error(program: Path) -> None:
    objects = render(program, NEEDED)
    deployment = copy.deepcopy(next(item for item in objects if item["kind"] == "Deployment"))
    deployment["spec"]["template"]["spec"]["containers"][0]["imagePullPolice"] = "Always"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, KUBERNETES, strict=True)


@pytest.mark.parametrize("case", MATRIX)
def test_every_container_is_confined(program: Path, case: str) -> None:
    found = list(containers(render(program, NEEDED | MATRIX[case])))
    assert found
    for pod, container in found:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["automountServiceAccountToken"] is False
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]


@pytest.mark.parametrize("secret", ["vcenter-login", "ledger-login"])
def test_credentials_are_files_of_the_one_that_needs_them(program: Path, secret: str) -> None:
    objects = render(program, NEEDED | MATRIX["secrets and certificates"] | MATRIX["shared ledger"])
    holders = {
        container["name"]
        for pod, container in containers(objects)
        for volume in pod["volumes"]
        if volume.get("secret", {}).get("secretName") == secret
    }
    assert holders == {"orchestrate"}
    for _, container in containers(objects):
        assert not any("PASSWORD" in variable["name"] for variable in container.get("env", ()))


def test_a_token_takes_the_place_of_a_password(program: Path) -> None:
    objects = render(program, NEEDED | MATRIX["token"])
    config = next(item for item in objects if item["kind"] == "ConfigMap")["data"]["config.yaml"]
    settings = yaml.safe_load(config)
    assert settings["token-file"] == "/etc/orchestrate/vcenter/token"
    assert not {"username-file", "password-file"} & settings.keys()
    (pod,) = (pod for pod, container in containers(objects) if container["name"] == "orchestrate")
    secrets = {volume["name"]: volume.get("secret", {}).get("secretName") for volume in pod["volumes"]}
    assert secrets["vcenter"] == "vcenter-token"


@pytest.mark.parametrize("case", ["one run", "scheduled"])
def test_a_run_is_repeated_only_where_that_may_help(program: Path, case: str) -> None:
    objects = render(program, NEEDED | MATRIX[case])
    (run,) = (item["spec"] for item in objects if item["kind"] in ("Job", "CronJob"))
    run = run.get("jobTemplate", {"spec": run})["spec"]
    ended = {
        code: rule["action"]
        for rule in run["podFailurePolicy"]["rules"]
        for code in rule.get("onExitCodes", {}).get("values", ())
    }
    assert ended == dict.fromkeys((ExitCode.SOME_FAILED, ExitCode.NOTHING_MATCHED, ExitCode.USAGE), "FailJob")
    assert run["backoffLimit"] == 1, "vCenter may be back, and who was interrupted goes on"


def test_the_alerts_are_the_operators_too_where_wanted(program: Path) -> None:
    labels = ("--set", "prometheusRule.enabled=true", "--set", "prometheusRule.labels.release=monitoring")
    objects = render(program, NEEDED, *labels)
    (rule,) = (item for item in objects if item["kind"] == "PrometheusRule")
    assert rule["metadata"]["labels"]["release"] == "monitoring"
    assert rule["spec"] == yaml.safe_load((CHART.parent / "deploy/prometheus/alerts.yml").read_text())
    assert "PrometheusRule" not in {item["kind"] for item in render(program, NEEDED)}


def test_the_configuration_holds_settings_that_exist(program: Path) -> None:
    objects = render(program, NEEDED | MATRIX["secrets and certificates"] | MATRIX["shared ledger"])
    config = next(item for item in objects if item["kind"] == "ConfigMap")["data"]["config.yaml"]
    for key in yaml.safe_load(config):
        field = Settings.model_fields[key.replace("-", "_")]
        assert not declaration(field).secret


def test_programs_take_the_containers_words(program: Path) -> None:
    commands = {"scheduler": dask_scheduler.main, "worker": dask_worker.main, "orchestrate": app}
    seen = set()
    for _, container in containers(render(program, NEEDED)):
        parameters = commands[container["name"]].params
        known = {word for parameter in parameters for word in (*parameter.opts, *parameter.secondary_opts)}
        flags = {word.partition("=")[0] for word in container["args"] if word.startswith("--")}
        assert flags <= known
        seen.add(container["name"])
    assert seen == set(commands)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"settings.datacenter": ""}, "datacenter"),
        ({"vcenter.existingSecret": ""}, "vcenter"),
        ({"vcenter.tokenSecret": "both"}, "vcenter"),
        ({"settings.ledger": "postgresql://me:secret@db/ledger"}, "ledger"),
        ({"settings.password": "hunter2"}, "password"),
        ({"existingScheduler": "dask.example"}, "existingScheduler"),
        ({"workerz.count": "3"}, "workerz"),
    ],
)
def test_values_that_cannot_work_are_refused(program: Path, values: dict[str, str], words: str) -> None:
    with pytest.raises(process.ProcessError, match=words):
        render(program, NEEDED | values)


def test_the_command_ends_before_its_pod_is_killed(program: Path) -> None:
    objects = render(program, NEEDED)
    (config,) = (
        yaml.safe_load(item["data"]["config.yaml"]) for item in objects if item["kind"] == "ConfigMap"
    )
    (job,) = (item for item in objects if item["kind"] == "Job")
    pod = job["spec"]["template"]["spec"]
    assert 60 <= config["grace-seconds"] <= pod["terminationGracePeriodSeconds"] - 10
