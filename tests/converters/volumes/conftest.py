"""Where the known files are."""

from __future__ import annotations

from pathlib import Path

import pytest

CASES = Path(__file__).parents[4] / "shared" / "cases"


@pytest.fixture(scope="session")
def cases() -> Path:
    """The folder of real files with known right values, beside the checkout."""
    if not CASES.is_dir():
        pytest.skip(f"no folder of cases at {CASES}")
    return CASES
