"""Guests for the tests: small trees written for one test, and other people's real files where they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from converters.guest.files import GuestFiles
from tests.directory_filesystem import DirectoryFilesystem

CASES = Path(__file__).parents[4] / "shared" / "cases"

Plant = Callable[[Mapping[str, str]], GuestFiles]


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    """Writes a guest's files by path and reads them back; a text ``-> target`` makes a symbolic link."""

    def write(files: Mapping[str, str]) -> GuestFiles:
        for name, text in files.items():
            path = tmp_path / name.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            if text.startswith("-> "):
                path.symlink_to(text.removeprefix("-> "))
            else:
                path.write_text(text, encoding="utf-8")
        return GuestFiles(DirectoryFilesystem(tmp_path))

    return write


@pytest.fixture(scope="session")
def cases() -> Path:
    """Files that people of the field met."""
    if not CASES.is_dir():
        pytest.skip(f"the collected cases are not at {CASES}")
    return CASES
