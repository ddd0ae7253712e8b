"""What the command says of itself: quickly, and of nothing that does not exist."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from orchestrator.cli.app import VERBS, app
from tests.test_house import ROOT, modules

FOREIGN = (ROOT / "converters/guest", ROOT / "converters/filesystems/uml")
"""Know the flags of other programs: those of guests, and those in the small machine that reads disks."""
_FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]*[a-z]")
_FOREIGN = re.compile(r"`(?!orchestrate)[^`]*`")
"""Words for other programs."""
_SLOW = ("alembic", "dask", "distributed", "httpx", "jinja2", "pyVmomi", "rich", "sqlalchemy")


def options() -> set[str]:
    """Every option of every verb."""
    commands = [app, *(app.get_command(click.Context(app), verb) for verb in VERBS)]
    parameters = [parameter for command in commands if command for parameter in command.params]
    return {"--help", *(name for one in parameters for name in (*one.opts, *one.secondary_opts))}


def sentences(path: Path) -> Iterator[tuple[int, str]]:
    """The strings of a module that are not single words, docstrings left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documents = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)) if id(node) not in documents and " " in text.strip():
                yield node.lineno, text


def test_every_flag_that_the_product_speaks_of_exists() -> None:
    known = options()
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {flag}"
        for path in modules()
        if not any(path.is_relative_to(folder) for folder in FOREIGN)
        for line, text in sentences(path)
        for flag in _FLAG.findall(_FOREIGN.sub("", text))
        if flag not in known
    ]
    assert not wrong


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_says_what_the_overview_says(verb: str) -> None:
    command = app.get_command(click.Context(app), verb)
    assert command is not None and command.help
    first, overview = (re.sub(r"\W+", " ", text).lower() for text in (command.help, VERBS[verb]))
    assert first.startswith(overview.strip())


@pytest.mark.parametrize("arguments", ["--version", "--help"])
def test_help_waits_for_nothing_that_a_run_needs(arguments: str) -> None:
    code = (
        "import sys; from orchestrator.__main__ import status; "
        f"assert status([{arguments!r}]) == 0; print([name for name in {_SLOW!r} if name in sys.modules])"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, timeout=30
    )
    assert said.stdout.splitlines()[-1] == "[]"


def test_help_names_verbs_settings_and_exit_statuses() -> None:
    text = app.get_help(click.Context(app, info_name="orchestrate"))
    for word in (*VERBS, "--datacenter", "GOVC_URL", "GOVC_PASSWORD", "130 interrupted"):
        assert word in text
    assert "--no-insecure" not in text
