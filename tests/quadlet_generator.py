"""Podman's own Quadlet generator, built from its Go module: Debian 12's podman has none yet."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

from converters import process
from converters.init.build import toolchain
from deploy.demo import cache as kept

_MODULE = "github.com/containers/podman/v5@v5.6.2"
_TAGS = "remote exclude_graphdriver_btrfs containers_image_openpgp"
"""Without what needs C libraries."""


@cache
def generator() -> str:
    """The generator's program; skips the test where Go or its module proxy is not there."""
    environment = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}

    def build(folder: Path) -> None:
        answer = process.run([go, "mod", "download", "-json", _MODULE], env=environment, timeout=300)
        source = json.loads(answer.stdout)["Dir"]
        command = [go, "build", "-mod=readonly", "-trimpath", "-tags", _TAGS]
        command += ["-o", str(folder / "quadlet"), "./cmd/quadlet"]
        process.run(command, env=environment, cwd=source, timeout=600)

    try:
        go = toolchain()
        return str(kept.cached("go-quadlet", kept.digest(_MODULE, _TAGS), build) / "quadlet")
    except process.ProcessError as error:
        pytest.skip(f"podman's generator needs Go and its module proxy: {error}")


def generated(files: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The texts of the services that Quadlet makes of files, by their names.

    Raises:
        ProcessError: it refuses a file, and says why.
    """
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    environment = {**os.environ, "QUADLET_UNIT_DIRS": str(folder)}
    answer = process.run([generator(), "-dryrun"], env=environment, timeout=60)
    _, *parts = f"\n{answer.stdout.decode()}".split("\n---")
    return dict(part.split("---\n", 1) for part in parts)
