"""The schemas in docs/ are those of the product, and a plan that it writes obeys them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from converters.planfile.model import ServiceEntry
from converters.planfile.schema import SCHEMAS, schema_text
from tests.converters.planfile.machines import written
from tests.converters.planfile.test_rules import RULES

DOCS = Path(__file__).parents[3] / "docs"


def _schema(name: str) -> Any:
    return json.loads((DOCS / name).read_text())


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_documents_are_those_of_the_product(name: str) -> None:
    """Where this fails: write what ``converters.planfile.schema.schema_text`` gives there."""
    assert (DOCS / name).read_text() == schema_text(name)


def test_what_the_product_writes_and_reads_obeys_them() -> None:
    jsonschema.validate(yaml.safe_load(written()), _schema("plan.schema.json"))
    jsonschema.validate(yaml.safe_load(RULES), _schema("rules.schema.json"))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"version": 1, "machine": "a", "servcies": {}}, _schema("plan.schema.json"))


def test_every_key_is_described() -> None:
    """In the schema, or by a name that says it, and in the document for people."""
    text = (DOCS / "plan.md").read_text()
    assert [key for key in ServiceEntry.model_fields if f"`{key}`" not in text] == []
