"""Files are replaced as a whole, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator import durable


def test_a_file_is_written_out_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "new" / "deep"
    steps: list[str] = []
    sync, rename = os.fsync, Path.replace

    def note_sync(descriptor: int) -> None:
        opened = Path(f"/proc/self/fd/{descriptor}").readlink()
        steps.append(f"sync {opened.relative_to(tmp_path)}")
        sync(descriptor)

    def note_rename(path: Path, target: Path) -> Path:
        steps.append(f"rename to {target.relative_to(tmp_path)}")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(Path, "replace", note_rename)
    durable.make_folder(folder)
    durable.write_text(folder / "report.json", "{}")
    part = f".report.json.{os.getpid()}.part"
    assert steps == [
        "sync .",
        "sync new",
        f"sync new/deep/{part}",
        "rename to new/deep/report.json",
        "sync new/deep",
    ]


@pytest.mark.root
def test_a_full_disk_leaves_the_old_file_and_no_other(small_disk: Path) -> None:
    file = small_disk / "report.json"
    durable.write_text(file, "old")
    with pytest.raises(OSError, match="No space left"):
        durable.write_text(file, "x" * (32 << 20))
    assert (file.read_text(), list(small_disk.iterdir())) == ("old", [file])
