"""Go's own tar reader, which container engines use, built once from ``gotar.go``."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("gotar.go")
GO = shutil.which("go", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}:/usr/local/go/bin")


def go_entries(archive: Path) -> list[dict[str, Any]]:
    """The entries of an archive as archive/tar sees them; byte strings in hexadecimal."""
    output = subprocess.run([_program(), archive], check=True, capture_output=True).stdout
    return [json.loads(line) for line in output.splitlines()]


def _program() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "orchestrate"
    program = cache / f"gotar-{hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]}"
    if not program.exists():
        cache.mkdir(parents=True, exist_ok=True)
        partial = program.with_suffix(f".{os.getpid()}")
        subprocess.run([str(GO), "build", "-o", partial, SOURCE], check=True, capture_output=True)
        partial.rename(program)
    return program
