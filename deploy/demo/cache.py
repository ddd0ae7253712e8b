"""Things that are costly to make, made once: kept by a digest of all that goes into them."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_KEPT_SECONDS = 7 * 24 * 3600.0


def folder() -> Path:
    """Where everything is kept: ``$XDG_CACHE_HOME/orchestrate``, by default below ``~/.cache``."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "orchestrate"


def digest(*parts: str | bytes | Path) -> str:
    """A key from texts, bytes, and the names and content of files (a folder: of all the files in it)."""
    total = hashlib.sha256()
    for part in parts:
        match part:
            case Path():
                files = sorted(p for p in part.rglob("*") if p.is_file()) if part.is_dir() else [part]
                for file in files:
                    _add(total, str(file.relative_to(part.parent)).encode())
                    _add(total, file.read_bytes())
            case str():
                _add(total, part.encode())
            case bytes():
                _add(total, part)
    return total.hexdigest()[:24]


def cached(kind: str, key: str, make: Callable[[Path], None]) -> Path:
    """The folder for ``kind`` and ``key``, filled by ``make`` when it does not exist yet.

    Whoever comes second while it is being made waits; what fails leaves nothing. Other keys of the kind go
    when nobody has asked for them for a week: another checkout may use them.
    """
    home = folder() / kind
    target = home / key
    if target.is_dir():
        os.utime(target)
        return target
    home.mkdir(parents=True, exist_ok=True)
    with _locked(home / ".lock"):
        if target.is_dir():
            return target
        work = Path(tempfile.mkdtemp(prefix=".making-", dir=home))
        try:
            make(work)
            work.rename(target)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        for other in home.iterdir():
            if other.is_dir() and time.time() - other.stat().st_mtime > _KEPT_SECONDS:
                shutil.rmtree(other, ignore_errors=True)
    return target


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _add(total: hashlib._Hash, data: bytes) -> None:
    total.update(len(data).to_bytes(8, "big"))
    total.update(data)
