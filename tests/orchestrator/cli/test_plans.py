"""Plans and rules as a person uses them: written, changed, handed back."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from deploy.demo import guests
from deploy.demo.registry import Registry
from tests.orchestrator.cli.conftest import Orchestrate

DISK = str(guests.small("little").raw)
RULES = 'version: 1\nrules: [{when: service == "web", service: {environment: {TZ: UTC}}}]\n'


@pytest.fixture
def environment(images: Registry, tmp_path: Path) -> dict[str, str]:
    """What a person has set before; of a vCenter nothing."""
    return {
        "ORCHESTRATE_REGISTRY": f"{images.address}/{tmp_path.name.replace('_', '-').lower()}",
        "ORCHESTRATE_LEDGER": str(tmp_path / "ledger.sqlite"),
        "ORCHESTRATE_OUTPUT": str(tmp_path / "out"),
        "ORCHESTRATE_SCRATCH": str(tmp_path / "scratch"),
        "ORCHESTRATE_WORKERS": "1",
    }


def test_a_plan_is_written_changed_and_handed_back(orchestrate: Orchestrate, tmp_path: Path) -> None:
    plain = orchestrate("convert", DISK, "--name", "little").out
    said = orchestrate("convert", DISK, "--name", "little", "--plan-only", ORCHESTRATE_REGISTRY="")
    path = tmp_path / "out/little.plan.yaml"
    assert (said.status, said.out.strip()) == (0, str(path))
    assert "8080/tcp" in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600

    page = (tmp_path / "out/little.difference.md").read_text()
    assert "**service web**: is started by the image's small init" in page
    unedited = orchestrate("convert", DISK, "--name", "little", "--plan", str(path))
    assert unedited.out == plain

    path.write_text(path.read_text().replace("8080/tcp", "8081/tcp", 1))
    edited = orchestrate("convert", DISK, "--name", "little", "--plan", str(path))
    assert edited.status == 0
    assert edited.out != plain
    compose = yaml.safe_load((tmp_path / "out/little.compose.yaml").read_text())
    assert compose["services"]["little"]["ports"] == ["8081:8081"]

    again = orchestrate("convert", DISK, "--name", "little", "--plan-only")
    assert again.out.strip() == f"{path}.new"
    assert "differs and is kept" in again.err
    assert "8081/tcp" in path.read_text()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("version: 1\nmachine: other\n", "is the plan of machine other, and this is little"),
        ("version: 1\nmachine: little\nservices: {wbe: {}}\n", "no service 'wbe' (any more)"),
        ("version: 1\nmachine: little\nservices: {web: {prots: [1]}}\n", "line 3, services.web.prots"),
    ],
)
def test_a_plan_that_does_not_fit_is_a_mistake_of_the_command_line(
    orchestrate: Orchestrate, tmp_path: Path, text: str, words: str
) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(text)
    said = orchestrate("convert", DISK, "--name", "little", "--plan", str(path))
    assert said.status == 64
    assert words in said.err


def test_rules_and_a_folder_of_plans(orchestrate: Orchestrate, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(RULES)
    folder = tmp_path / "plans"
    rules = ("--rules", str(tmp_path / "rules.yaml"), "--plans", str(folder), "--name", "little")
    said = orchestrate("convert", DISK, *rules, "--plan-only")
    assert said.status == 0, said.err
    assert "By rule 1 of rules.yaml: has variables: more TZ." in (folder / "little.plan.yaml").read_text()
    said = orchestrate("convert", DISK, *rules)
    assert said.status == 0, said.err
    compose = yaml.safe_load((tmp_path / "out/little.compose.yaml").read_text())
    assert compose["services"]["little"]["environment"]["TZ"] == "UTC"
    (folder / "twin.yaml").write_text((folder / "little.plan.yaml").read_text())
    said = orchestrate("convert", DISK, *rules)
    assert (said.status, "both plans of machine little" in said.err) == (64, True)
