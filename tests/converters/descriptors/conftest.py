"""Where cases of real descriptors lie, and small ones of our own."""

from __future__ import annotations

from pathlib import Path

import pytest

CASES = Path(__file__).parents[4] / "shared" / "cases"


@pytest.fixture
def cases() -> Path:
    """Real files with their right values; a test that needs them is skipped where they are absent."""
    if not CASES.is_dir():
        pytest.skip(f"no folder of cases at {CASES}")
    return CASES
