"""What tests of the orchestrator share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from converters import process


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MiB; needs root."""
    folder = tmp_path / "small"
    folder.mkdir()
    process.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)])
    try:
        yield folder
    finally:
        process.run(["umount", str(folder)])
