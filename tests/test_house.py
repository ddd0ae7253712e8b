"""Rules of the house that a linter does not know: who imports whom, and who may end the process."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PRODUCT = ("converters", "orchestrator")

HOMES: dict[str, str | tuple[str, ...]] = {
    "pyVmomi": "orchestrator/vsphere/",
    "pyVim": "orchestrator/vsphere/",
    "vmware": "orchestrator/vsphere/",
    "dask": "orchestrator/cluster/",
    "docker": "orchestrator/verify/engine.py",
    "distributed": "orchestrator/cluster/",
    "guestfs": "converters/filesystems/guestfs",
    "nbd": "converters/disks/",
    "isal": ("converters/image/layer.py", "converters/disks/"),
    "sqlalchemy": "orchestrator/ledger/",
    "alembic": "orchestrator/ledger/",
    "psycopg": "orchestrator/ledger/",
    "subprocess": "converters/process.py",
    "jinja2": "orchestrator/report/",
    "prometheus_client": "orchestrator/report/",
}
"""Third parties (and the door to processes) by their only home, so that each can be replaced in one place."""


def modules() -> Iterator[Path]:
    """Every module of the product."""
    for package in PRODUCT:
        yield from sorted((ROOT / package).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """The modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module)):
                yield module


def test_third_parties_have_one_home() -> None:
    strangers = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules()
        for name in imported(path)
        if (home := HOMES.get(name.partition(".")[0])) and not str(path.relative_to(ROOT)).startswith(home)
    ]
    assert not strangers


def test_converters_know_neither_vsphere_nor_dask() -> None:
    for path in modules():
        if path.is_relative_to(ROOT / "converters"):
            for name in imported(path):
                assert name.partition(".")[0] not in ("orchestrator", "deploy", "tests"), f"{path}: {name}"


@pytest.mark.parametrize("folder", ["orchestrator/fleet", "orchestrator/report"])
def test_what_decides_or_shows_does_not_act(folder: str) -> None:
    acting = ("orchestrator.cluster", "orchestrator.job", "orchestrator.run", "orchestrator.cli", "httpx")
    for path in sorted((ROOT / folder).rglob("*.py")):
        for name in imported(path):
            assert not name.startswith(acting), f"{path}: {name}"


def test_only_main_exits() -> None:
    for path in modules():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        exits = [
            node.lineno
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "sys.exit"
        ]
        assert not exits or path.name in ("__main__.py", "child.py"), f"{path}:{exits}"
