"""Container files, compose stack and Prometheus' configuration agree with the product and with each other."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from distributed.cli import dask_scheduler, dask_worker

from converters import process
from orchestrator.settings import Settings, Verb, declaration, environment_name, flag
from tests.compose_schema import compose_schema
from tests.deploy.compose_stack import compose_file

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy/containers/Dockerfile"
NEEDED = {"GOVC_URL": "vcenter", "GOVC_USERNAME": "user", "GOVC_DATACENTER": "DC0"}
IN_IMAGES_ONLY = {
    "ca-certificates": "every Debian but the smallest has it",
    "libfuse2": "libguestfs is linked to it; on a machine its package brings it",
    "libguestfs-reiserfs": "for the appliance; it cannot be recommended into an image",
    "libguestfs-xfs": "for the appliance; it cannot be recommended into an image",
    "libjansson4": "libguestfs is linked to it; on a machine its package brings it",
    "libtirpc3": "libguestfs is linked to it; on a machine its package brings it",
    "libvirt0": "libguestfs is linked to it; on a machine its package brings it",
    "libxml2": "libguestfs is linked to it; on a machine its package brings it",
    "python3": "every Debian but the smallest has it",
    "util-linux": "every Debian has it; it is named because the product calls it",
}
"""Packages of the images that are not in deploy/packages.txt, each with the reason."""


def instructions() -> dict[str, list[str]]:
    """The container file's instructions, without comments, by the name of their stage."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    stages: dict[str, list[str]] = {}
    stage = ""
    for line in filter(None, map(str.strip, text.splitlines())):
        if found := re.fullmatch(r"FROM \S+ AS (\w+)", line):
            stage = found[1]
        stages.setdefault(stage, []).append(re.sub(r"\s+", " ", line))
    return stages


def packages(stage: str) -> set[str]:
    """The Debian packages that a stage installs."""
    installs = [line for line in instructions()[stage] if "apt-get install" in line]
    words = " ".join(
        re.search(r"--no-install-recommends ([^&]*)", line)[1]  # type: ignore[index]
        for line in installs
    )
    return set(words.split())


def service(name: str, **variables: str) -> dict[str, Any]:
    """A service of the compose file."""
    found: dict[str, Any] = compose_file({**NEEDED, **variables})["services"][name]
    return found


def test_packages_of_images_are_those_of_machines() -> None:
    named = {
        line.split()[0] for line in (ROOT / "deploy/packages.txt").read_text().splitlines() if line[:1] != "#"
    }
    used = set().union(*(packages(stage) for stage in instructions() if stage))
    assert "user-mode-linux" in used
    assert used - named == set(IN_IMAGES_ONLY)


@pytest.mark.parametrize("target", ["orchestrator", "worker"])
def test_images_run_as_nobody_in_particular(target: str) -> None:
    assert "USER 10001:10001" in instructions()[target]
    assert any(line.startswith("ENTRYPOINT [") for line in instructions()[target])


def test_the_build_context_holds_what_is_copied() -> None:
    copied = {
        word for line in instructions()["build"] if line.startswith("COPY") for word in line.split()[1:-1]
    }
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied == allowed
    assert all((ROOT / path).exists() for path in copied)


def test_compose_takes_the_stack() -> None:
    document = compose_file(NEEDED)
    jsonschema.validate(document, compose_schema())
    with pytest.raises(ValueError, match="GOVC_URL"):
        compose_file({})


def test_services_of_ours_are_confined() -> None:
    for name in ("orchestrator", "scheduler", "worker"):
        spec = service(name)
        assert spec["read_only"] is True
        assert spec["cap_drop"] == ["ALL"]
        assert spec["security_opt"] == ["no-new-privileges:true"]
        assert spec["build"]["target"] in instructions()


def test_images_have_the_products_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    tags = {name: service(name)["image"] for name in ("orchestrator", "scheduler", "worker")}
    assert tags == {
        "orchestrator": f"orchestrate/orchestrator:{version}",
        "scheduler": f"orchestrate/worker:{version}",
        "worker": f"orchestrate/worker:{version}",
    }
    chart = yaml.safe_load((ROOT / "helm/Chart.yaml").read_text())
    assert chart["appVersion"] == version
    assert re.findall(r"-t orchestrate/\w+:(\S+)", DOCKERFILE.read_text()) == [version, version]


def test_plain_http_is_for_the_stacks_own_registry() -> None:
    assert service("orchestrator")["command"] == ["--registry-insecure"]
    assert service("orchestrator", REGISTRY="registry.example.org/vms")["command"] == [
        "--no-registry-insecure"
    ]
    assert flag("registry_insecure") == "--registry-insecure"


def test_the_stacks_environment_names_settings() -> None:
    known = {environment_name(name): name for name in Settings.model_fields}
    set_by = {name: service(name).get("environment", {}) for name in ("orchestrator", "worker")}
    assert set(set_by["orchestrator"]) <= set(known)
    assert set(set_by["worker"]) - {"TMPDIR"} <= set(known)
    for variable in set_by["orchestrator"]:
        declared = declaration(Settings.model_fields[known[variable]])
        assert declared.secret or Verb.RUN in declared.verbs
    # Passwords of vCenter come as files, and to the one that needs them.
    assert "GOVC_PASSWORD" not in {*set_by["orchestrator"], *set_by["worker"]}
    assert not any(variable.startswith("GOVC_") for variable in set_by["worker"])
    assert "secrets" not in service("worker")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (dask_worker.main, service("worker")["command"]),
        (dask_scheduler.main, service("scheduler")["command"]),
    ],
    ids=["worker", "scheduler"],
)
def test_dask_takes_the_stacks_words(command: Any, words: list[str]) -> None:
    known = {
        option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
    }
    assert {word for word in words if word.startswith("--")} <= known


def test_prometheus_takes_its_configuration() -> None:
    path = ROOT / "deploy/prometheus/prometheus.yml"
    process.run(["promtool", "check", "config", str(path)])
    targets = {
        target
        for job in yaml.safe_load(path.read_text())["scrape_configs"]
        for group in job["static_configs"]
        for target in group["targets"]
    }
    port = service("orchestrator")["environment"]["ORCHESTRATE_METRICS_PORT"]
    dashboard = service("scheduler")["command"][-1]
    assert targets == {f"orchestrator:{port}", f"scheduler{dashboard}"}
