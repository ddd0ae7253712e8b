"""Builds the Go programs that the demo, the tests and the benchmarks use."""

from __future__ import annotations

import os
from pathlib import Path

from converters import process
from converters.init.build import toolchain
from deploy.demo import cache

MODULE = Path(__file__).parent / "simulator"
_BUILD_SECONDS = 900.0


def program(package: str, name: str) -> Path:
    """The executable ``name`` built from ``package`` (``.``, ``./govc``) of the module in ``simulator/``.

    Raises:
        ProcessError: no Go toolchain, or the source does not build.
    """
    go = toolchain()
    version = process.run([go, "env", "GOVERSION"], env=_environment()).stdout

    def build(folder: Path) -> None:
        command = [go, "build", "-trimpath", "-ldflags=-s -w", "-o", str(folder / name), package]
        process.run(command, env=_environment(), cwd=str(MODULE), timeout=_BUILD_SECONDS)

    return cache.cached(f"go-{name}", cache.digest(version, package, MODULE), build) / name


def _environment() -> dict[str, str]:
    # The module proxy, its certificates and the build cache are the machine's own affair.
    return {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}
