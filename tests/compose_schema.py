"""The Compose specification's schema, out of its Go module."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from converters import process
from converters.init.build import toolchain

_MODULE = "github.com/compose-spec/compose-go/v2@v2.4.7"


@cache
def compose_schema() -> dict[str, Any]:
    """The schema; skips the test where Go or its module proxy is not there."""
    try:
        go = toolchain()
        answer = process.run([go, "mod", "download", "-json", _MODULE], env=os.environ, timeout=120.0)
    except process.ProcessError as error:
        pytest.skip(f"the Compose schema needs Go and its module proxy: {error}")
    folder = Path(json.loads(answer.stdout)["Dir"])
    schema = json.loads((folder / "schema/compose-spec.json").read_text())
    assert isinstance(schema, dict)
    return schema
