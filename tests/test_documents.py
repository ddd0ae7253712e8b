"""What the documents say to type is there to be typed, and what they link to is there to be read."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import click
import pytest

from orchestrator.cli.app import app
from orchestrator.settings import Settings, environment_name

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FILES = [
    *DOCUMENTS,
    ROOT / "deploy/compose.yaml",
    ROOT / "deploy/containers/Dockerfile",
    *sorted((ROOT / "helm/templates").iterdir()),
]
_FENCED = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_PROGRAMS = ("orchestrate", "~/orchestrate/bin/orchestrate")
_IN_A_CONTAINER = re.compile(r"docker compose .*run --rm orchestrator")


def name(path: Path) -> str:
    """A document's path in the project."""
    return str(path.relative_to(ROOT))


def spans(text: str) -> Iterator[str]:
    """Everything in a document that is meant to be typed, line by line."""
    for block in _FENCED.findall(text):
        yield from block.replace("\\\n", " ").splitlines()
    yield from _INLINE.findall(_FENCED.sub("", text))


def commands(text: str) -> Iterator[list[str]]:
    """The words after ``orchestrate`` of each command."""
    for span in spans(text):
        line = _IN_A_CONTAINER.sub("orchestrate", span)
        words = shlex.split(line, comments=True) if line.count("'") % 2 == 0 else line.split()
        if words and words[0] in _PROGRAMS:
            yield words[1:]


def options(command: click.Command) -> set[str]:
    """The flags of a command."""
    with click.Context(command) as context:
        parameters = command.get_params(context)
    return {word for parameter in parameters for word in (*parameter.opts, *parameter.secondary_opts)}


def verbs() -> dict[str, click.Command]:
    """Every verb by name; the main job by the empty one."""
    with click.Context(app) as context:
        found = {verb: app.get_command(context, verb) for verb in app.list_commands(context)}
    return {"": app, **{verb: command for verb, command in found.items() if command is not None}}


def unknown(words: list[str], known: dict[str, click.Command]) -> list[str]:
    """The verb or the flags of a command line that do not exist."""
    verb = words[0] if words and re.fullmatch(r"[a-z]+", words[0]) else ""
    if verb not in known:
        return [verb]
    flags = {word.partition("=")[0] for word in words if word.startswith("-")}
    return sorted(flags - options(known[verb]))


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_commands_exist(path: Path) -> None:
    known = verbs()
    wrong = {" ".join(words): bad for words in commands(path.read_text()) if (bad := unknown(words, known))}
    assert not wrong


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_flags_in_running_text_exist(path: Path) -> None:
    known = set().union(*(options(command) for command in verbs().values()))
    text = _FENCED.sub("", path.read_text())
    flags = {span.split()[0].partition("=")[0] for span in _INLINE.findall(text) if span.startswith("--")}
    assert not flags - known


def test_the_readmes_commands_are_seen() -> None:
    """So that the tests above cannot pass by finding nothing."""
    found = list(commands((ROOT / "README.md").read_text()))
    assert ["convert", "DISK…"] in found
    assert any("--dry-run" in words for words in found)
    assert unknown(["--dry-run", "--datacentre", "X"], verbs()) == ["--datacentre"]
    assert unknown(["chekc"], verbs()) == ["chekc"]


@pytest.mark.parametrize("path", FILES, ids=name)
def test_environment_variables_exist(path: Path) -> None:
    known = {environment_name(field) for field in Settings.model_fields} | {"ORCHESTRATE_CONFIG"}
    named = set(re.findall(r"\b(?:ORCHESTRATE|GOVC)_[A-Z_]+[A-Z]\b", path.read_text()))
    assert not named - known


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_links_lead_somewhere(path: Path) -> None:
    for link in _LINK.findall(path.read_text()):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = unquote(link).partition("#")
        file = path.parent / target if target else path
        assert file.exists(), link
        if anchor:
            assert anchor in anchors(file), link


def anchors(path: Path) -> set[str]:
    """The headings of a document, as links name them."""
    headings = re.findall(r"^#+ (.+)$", _FENCED.sub("", path.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
