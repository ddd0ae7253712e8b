"""Whatever a guest's text is, each kind of file gives its own reader the same text back."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from converters.image.config import RunConfig
from converters.manifests.compose import compose_text
from converters.manifests.describe import machine
from converters.manifests.fig import fig
from converters.manifests.fleet import fleet
from converters.manifests.kubernetes.folder import kubernetes
from converters.manifests.machine import Machine
from converters.manifests.quadlet import quadlet
from converters.manifests.run_script import run_script
from tests.composed import composed
from tests.converters.manifests.machines import NGINX, PLAN, REFERENCE
from tests.converters.manifests.readers import command_line, options, started, words
from tests.quadlet_generator import generated

TROUBLE = {
    "SEXAGESIMAL": "22:22",
    "OCTAL": "0755",
    "NEW_OCTAL": "0o17",
    "FLOAT": "1e3",
    "BOOLEAN": "no",
    "NULL": "~",
    "HASH": "$2b$12$Pg8A",
    "BRACES": "${HOME} $(HOME) $$(HOME) $HOME",
    "SPECIFIERS": "%n %% %",
    "QUOTES": "'\"`\\",
    "LINES": "one\n  two: #three\n\n",
    "BLANKS": "  a\t ",
    "LONG": "x " * 2000,
    "EMPTY": "",
    "LETTERS": "ü 漢 \u2028 \x85 \x1b \U0001f40b",
    "SEMICOLON": ";",
}
names = st.text("ABCabc_", min_size=1, max_size=8)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)
environments = st.dictionaries(names, texts, min_size=1, max_size=12)


def _machine(environment: Mapping[str, str]) -> Machine:
    """One service with these variables."""
    run = RunConfig(entrypoint=("/usr/sbin/nginx",), env=tuple(environment.items()))
    service = replace(NGINX, run=run)
    return machine(replace(PLAN, service="nginx", services=(service,), jobs=()), REFERENCE)


def _variables(pairs: list[str]) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in pairs)


def _only(text: str) -> dict[str, Any]:
    document = yaml.safe_load(text)
    (service,) = document.get("services", document).values()
    environment = service["environment"]
    assert isinstance(environment, dict)
    return environment


@settings(max_examples=15, deadline=None)
@given(environments)
@example(TROUBLE)
def test_compose(environment: dict[str, str]) -> None:
    with TemporaryDirectory() as folder:
        (service,) = composed(compose_text(_machine(environment)), Path(folder)).values()
    assert service["environment"] == environment


@settings(deadline=None)
@given(environments)
@example(TROUBLE)
def test_fig(environment: dict[str, str]) -> None:
    assert _only(fig(_machine(environment))) == environment


@settings(deadline=None)
@given(environments)
@example(TROUBLE)
def test_kubernetes(environment: dict[str, str]) -> None:
    assert yaml.safe_load(kubernetes(_machine(environment))["configmap.yaml"])["data"] == environment


def test_kubernetes_by_its_own_reader(tmp_path: Path) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not there")
    # What kubectl writes of this letter is read as the end of a line here.
    environment = {name: value.replace("\x85", "") for name, value in TROUBLE.items()}
    for name, text in kubernetes(_machine(environment)).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    answer = subprocess.run(["kubectl", "kustomize", tmp_path], capture_output=True, check=True)
    (found,) = (one for one in yaml.safe_load_all(answer.stdout) if one["kind"] == "ConfigMap")
    assert found["data"] == environment


@settings(deadline=None)
@given(environments)
@example(TROUBLE)
def test_fleet(environment: dict[str, str]) -> None:
    unit = fleet(_machine(environment))["web-01.service"]
    assert _variables(options(command_line(unit), "--env")) == environment


@settings(max_examples=15, deadline=None)
@given(environments)
@example(TROUBLE)
def test_run_script(environment: dict[str, str]) -> None:
    with TemporaryDirectory() as folder:
        (command,) = started(run_script(_machine(environment)), Path(folder))
    assert _variables(options(command, "--env")) == environment
    assert command[-1] == REFERENCE


@settings(max_examples=15, deadline=None)
@given(environments)
@example(TROUBLE)
def test_quadlet(environment: dict[str, str]) -> None:
    with TemporaryDirectory() as folder:
        services = generated(quadlet(_machine(environment)), Path(folder))
    (line,) = (line for line in services["web-01.nginx.service"].split("\n") if line.startswith("ExecStart="))
    # podman's generator writes this one letter as a byte.
    wanted = {name: value for name, value in environment.items() if "\x80" not in value}
    read = _variables(options(words(line.removeprefix("ExecStart=")), "--env"))
    assert {name: read[name] for name in wanted} == wanted


@settings(deadline=None)
@given(texts, texts, texts)
def test_names_and_notes_stay_in_their_places(title: str, hostname: str, note: str) -> None:
    """No text makes a key, a section, a command or a line of its own."""
    plan = replace(PLAN, name=title, hostname=hostname, notes=(note,), jobs=())
    named, plain = machine(plan, REFERENCE), machine(replace(PLAN, hostname="", jobs=()), REFERENCE)
    for write in (kubernetes, fleet, quadlet):
        assert [*write(named)] == [*write(plain)]
    for text in (run_script(named), *fleet(named).values(), *quadlet(named).values()):
        lines = [line for line in text.split("\n") if line and not line.startswith(("#", " "))]
        allowed = ("[", '"$engine"', "set -eu", "engine=")
        assert all(line.startswith(allowed) or line.partition("=")[0].isalpha() for line in lines), lines
