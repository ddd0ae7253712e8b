"""The static init, built once."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.demo import golang


@pytest.fixture(scope="session")
def init() -> Path:
    """The program, for this machine's own processor."""
    return golang.init()
