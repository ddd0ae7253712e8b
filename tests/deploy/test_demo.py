"""`make demo` from end to end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.demo import guests
from tests.kernel import needs_root

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.root
@needs_root
def test_the_demo_shows_a_page_and_leaves_nothing(tmp_path: Path) -> None:
    page = guests.web().page
    demo = subprocess.run(
        [sys.executable, "-m", "deploy.demo"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "0 snapshots left, 0 leases open" in demo.stdout
    assert f"{page!r}" in demo.stdout or "not started:" in demo.stdout
    run = json.loads((tmp_path / "out/demo/report.json").read_text())["run"]
    states = {job["vm"]: job["state"] for job in run["jobs"]}
    assert states == {
        **dict.fromkeys(("web", "Web Süd/2", "db", "legacy"), "done"),
        **dict.fromkeys(("office-pc", "golden-image"), "skipped"),
        "broken": "failed",
    }
    assert "registry ends now" in demo.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert _processes_in(tmp_path) == []


def _processes_in(folder: Path) -> list[str]:
    """Command lines of the processes that still name a folder below ``folder``."""
    found = []
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = command.read_bytes().decode(errors="replace")
        except OSError:
            continue  # it has ended
        if str(folder) in words:
            found.append(words.replace("\0", " "))
    return found
