"""The JSON schemas of plan files and rule files, for editors; ``docs/`` has them."""

from __future__ import annotations

import json
from collections.abc import Mapping

from converters.planfile.model import PlanFile, RuleFile, Strict

SCHEMAS: Mapping[str, type[Strict]] = {"plan.schema.json": PlanFile, "rules.schema.json": RuleFile}
"""By the names of their files in ``docs/``."""


def schema_text(name: str) -> str:
    """The text of one of ``SCHEMAS``."""
    return json.dumps(SCHEMAS[name].model_json_schema(), indent=1, ensure_ascii=False) + "\n"
