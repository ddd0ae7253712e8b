"""Builds the init that images carry when the package is built; Go is one of the build's own requirements."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class InitBuildHook(BuildHookInterface):  # type: ignore[misc]
    """Puts the init of each architecture where the wheel takes it from."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build what is missing or older than its source."""
        sys.path.insert(0, str(Path(self.root)))
        from converters.init.build import build

        build()
