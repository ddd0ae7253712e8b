"""Files and folders that are there, whole, after a power cut."""

from __future__ import annotations

import os
from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Write a file as UTF-8; whoever reads it, also after a power cut, gets all of the old or of the new one.

    Raises ``OSError``; the old file is as it was then.
    """
    _write(path, text.encode("utf-8"), 0o666)


def write_private(path: Path, content: bytes) -> None:
    """The same for content that nobody but the file's owner is to read, at any moment."""
    _write(path, content, 0o600)


def _write(path: Path, content: bytes, mode: int) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.unlink(
        missing_ok=True
    )  # of an earlier process of this number; a file keeps the mode it was made with
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
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
