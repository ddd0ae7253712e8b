"""JSON of a guest: any shape may come, and what is of another type than expected counts as absent."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

_LONGEST = 400
_MOST_ITEMS = 100


def parse(text: str) -> Any:
    """The value; None where the text is no JSON, or nested deeper than anybody nests."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def table(value: Any, *keys: str) -> Mapping[str, Any]:
    """The object below some keys."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def items(value: Any) -> Sequence[Any]:
    """The first items of a list."""
    return value[:_MOST_ITEMS] if isinstance(value, list) else ()


def word(value: Any) -> str:
    """A string, or a number as one, that can be printed."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    # JSON can name halves of characters, which no text holds.
    return value.encode("utf-8", "backslashreplace").decode()[:_LONGEST] if isinstance(value, str) else ""
