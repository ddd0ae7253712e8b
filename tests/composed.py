"""Reads compose files as Docker Compose does: by the Compose specification's own library, in Go."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from converters import process
from converters.init.build import toolchain
from deploy.demo import cache as kept

_MODULE = Path(__file__).parent / "compose_reader"


@cache
def _reader() -> str:
    environment = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}

    def build(folder: Path) -> None:
        command = [go, "build", "-trimpath", "-o", str(folder / "compose-reader"), "."]
        process.run(command, env=environment, cwd=str(_MODULE), timeout=600)

    try:
        go = toolchain()
        return str(kept.cached("go-compose-reader", kept.digest(_MODULE), build) / "compose-reader")
    except process.ProcessError as error:
        pytest.skip(f"the Compose library needs Go and its module proxy: {error}")


def composed(text: str, folder: Path) -> dict[str, Any]:
    """The services of a compose file, variables replaced and every value in its own type.

    Raises:
        ProcessError: it is no compose file, and why.
    """
    path = folder / "compose.yaml"
    path.write_text(text, encoding="utf-8")
    project = json.loads(process.run([_reader(), str(path)], timeout=60).stdout)
    services = project["services"]
    assert isinstance(services, dict)
    return services
