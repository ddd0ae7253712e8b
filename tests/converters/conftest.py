"""A registry and a scratch folder for the tests of the converter."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.demo.registry import Registry, registry


@pytest.fixture(scope="module")
def server() -> Iterator[Registry]:
    """A registry that a module's tests share."""
    with registry() as running:
        yield running


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """An empty scratch folder."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder
