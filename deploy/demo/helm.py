"""Helm, built from its Go module once: nothing else serves to try the chart."""

from __future__ import annotations

import os
from pathlib import Path

from converters import process
from converters.init.build import toolchain
from deploy.demo import cache

PACKAGE = "helm.sh/helm/v4/cmd/helm@v4.3.1"
_BUILD_SECONDS = 900.0


def helm() -> Path:
    """The executable.

    Raises:
        ProcessError: no Go toolchain, or the module cannot be fetched or built.
    """
    go = toolchain()
    environment = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "auto"}
    version = process.run([go, "env", "GOVERSION"], env=environment).stdout

    def build(folder: Path) -> None:
        command = [go, "install", "-trimpath", "-ldflags=-s -w", PACKAGE]
        process.run(command, env={**environment, "GOBIN": str(folder)}, timeout=_BUILD_SECONDS)

    return cache.cached("helm", cache.digest(version, PACKAGE), build) / "helm"
