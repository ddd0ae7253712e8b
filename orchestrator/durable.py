"""Files and folders that are there, whole, after a power cut."""

from __future__ import annotations

import os
from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Write a file as UTF-8; whoever reads it, also after a power cut, gets all of the old or of the new one.

    Raises ``OSError``; the old file is as it was then.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    _write_out(path.parent)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it; nothing when it is there. Raises ``OSError``."""
    if folder.is_dir():
        return
    if folder.parent != folder:
        make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _write_out(folder.parent)


def _write_out(folder: Path) -> None:
    """Bring to disk which files a folder has: what is in them is no use without their names (fsync(2))."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
