"""A worker's scratch space: a folder for each attempt, private to the process, cleaned also after a kill."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import uuid
from contextlib import suppress
from pathlib import Path

from converters.errors import ScratchFullError

_PREFIX = "orchestrate-worker-"
_LOCK = "lock"


class Scratch:
    """The folder of this process below ``root``; held by a lock that ends with the process.

    Folders of processes that have ended are removed when one is made, and when an attempt begins: a killed
    worker cleans nothing up, and its successor may have been there before it ended.
    Raises ``ScratchFullError`` when it cannot be made.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        try:
            root.mkdir(parents=True, exist_ok=True)
            sweep(root)
            name = f"{_PREFIX}{uuid.uuid4().hex[:12]}"
            # Under a name that no sweep looks at until the lock is held.
            unlocked = root / f".{name}"
            unlocked.mkdir(mode=0o700, parents=True)  # another process may have removed an empty root
            self._lock = os.open(unlocked / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            self.path = unlocked.rename(root / name)
        except OSError as error:
            raise ScratchFullError(f"no scratch folder can be made in {root}: {error}") from error

    def attempt(self, run: str, job: str, attempt: int) -> Path:
        """The folder of an attempt, made when it is not there. Its disks are only this user's to read."""
        sweep(self._root)
        folder = self.path / run / job / str(attempt)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    def discard(self, run: str, job: str, attempt: int) -> None:
        """Remove what the job's attempts up to this one left."""
        folder = self.path / run / job
        for found in list(folder.iterdir()) if folder.is_dir() else []:
            if int(found.name) <= attempt:
                shutil.rmtree(found, ignore_errors=True)
        with suppress(OSError):  # a later attempt may be there
            folder.rmdir()

    def forget(self, run: str) -> None:
        """Remove everything of a run."""
        shutil.rmtree(self.path / run, ignore_errors=True)

    def close(self) -> None:
        """Remove everything and give the lock up; also the root that nobody asked for, once it is empty."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)
        if self._root == default_root():
            with suppress(OSError):  # others are at work there
                self._root.rmdir()


def default_root() -> Path:
    """Where scratch is when no setting says so: below ``TMPDIR``."""
    return Path(tempfile.gettempdir()) / f"orchestrate-{os.getuid()}"


def sweep(root: Path) -> int:
    """Remove the folders below ``root`` whose process has ended; gives how many."""
    removed = 0
    for folder in root.glob(f"{_PREFIX}*"):
        if _is_dead(folder):
            shutil.rmtree(folder, ignore_errors=True)
            removed += 1
    return removed


def _is_dead(folder: Path) -> bool:
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False  # being made, being removed, or another user's
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(lock)
