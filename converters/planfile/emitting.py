"""Values and comments as YAML that every reader, of version 1.1 or 1.2, takes for the texts they are."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from converters.manifests.yaml_text import comment

_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./@+-]*|\d{1,5}/(?:tcp|udp)")
_WORDS = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null", "none"))
"""What some YAML reader takes for something else than a text."""
_LONGEST_COMMENT = 300
_LONGEST_ROW = 60
"""Characters of a list that stands on one line."""


def node(value: Any) -> Any:
    """A value as YAML has it; of models, the keys that say something."""
    match value:
        case BaseModel():
            return node({key: one for key, one in value if one is not None})
        case Mapping():
            return mapping((key, node(one), ()) for key, one in value.items())
        case tuple() | list():
            items = CommentedSeq(node(one) for one in value)
            if all(isinstance(one, str) for one in value) and len(str(value)) < _LONGEST_ROW:
                items.fa.set_flow_style()
            return items
        case str():
            return scalar(value)
        case _:
            return value


def scalar(text: str) -> str:
    """A text, in quotes unless it is plainly one."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    quoted: str = DoubleQuotedScalarString(text)
    return quoted


def mapping(items: Iterable[tuple[str, Any, Sequence[str]]]) -> CommentedMap:
    """Keys, their nodes, and what is said above each."""
    found = CommentedMap()
    for name, value, said in items:
        key = scalar(name)
        found[key] = value
        if said:
            found.yaml_set_comment_before_after_key(key, before="\n".join(map(brief, said)), indent=2)
    return found


def remark(found: CommentedMap, key: str, text: str) -> None:
    """Say something beside a key with a scalar, if it is there."""
    if text and key in found:
        found.yaml_add_eol_comment(brief(text), key)


def remark_items(items: Any, remarks: Mapping[str, str]) -> None:
    """Say something beside each item of a list."""
    if isinstance(items, CommentedSeq) and items:
        items.fa.set_block_style()
        for index, item in enumerate(items):
            if said := remarks.get(str(item)):
                items.yaml_add_eol_comment(brief(said), index)


def brief(text: str) -> str:
    """As a comment, cut where it is long; what would end the line is escaped."""
    return comment(text if len(text) <= _LONGEST_COMMENT else f"{text[:_LONGEST_COMMENT]}…")


def document(top: CommentedMap, head: str) -> str:
    """The file's text; each line of ``head`` is a comment."""
    top.yaml_set_start_comment(head)
    yaml = YAML()
    yaml.width = 1 << 20  # a folded text is hard to change
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = io.StringIO()
    yaml.dump(top, stream)
    return stream.getvalue()
