"""The static init, built once."""

from __future__ import annotations

from pathlib import Path

import pytest

from converters.init import PROGRAMS
from converters.init.build import build


@pytest.fixture(scope="session")
def init() -> Path:
    """The program, for this machine's own processor."""
    build()
    return PROGRAMS / "init-amd64"
