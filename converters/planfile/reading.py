"""Plan files and rule files are read: what is wrong is told with file, line, key and what is allowed."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from converters.errors import PlanError
from converters.planfile.model import VERSION, PlanFile, RuleFile

Place = tuple[str | int, ...]
"""Keys and indexes from the top of the document."""
File = TypeVar("File", PlanFile, RuleFile)

_MOST_BYTES = 4 << 20
_MOST_NODES = 200_000
_DEEPEST = 20
_NULL = "tag:yaml.org,2002:null"
_CLOSE = 0.6


def read_plan(path: Path) -> PlanFile:
    """A plan file. Raises ``PlanError``."""
    return _read(path, PlanFile)


def read_rules(path: Path) -> RuleFile:
    """A rule file, whose expressions are not looked at yet. Raises ``PlanError``."""
    return _read(path, RuleFile)


def _read(path: Path, wanted: type[File]) -> File:
    document = Document(path, _text(path))
    _require_version(document)
    try:
        return wanted.model_validate(document.value)
    except ValidationError as error:
        raise _first_error(document, wanted, error) from None


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise PlanError(f"{path} is larger than {_MOST_BYTES >> 20} MiB, which no plan is")
        return content.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError(f"cannot read {path}: {error}") from None


class Document:
    """A YAML document: its values as texts, and the line of each.

    Scalars are not understood as YAML would, but as they are written: a user called ``no`` is no boolean, and
    a version 1.10 is not 1.1.
    """

    def __init__(self, path: Path, text: str) -> None:
        """Raises ``PlanError``: it is no YAML, or holds what cannot be told apart."""
        self.path = path
        self._lines: dict[Place, int] = {}
        self._nodes = 0
        try:
            root = YAML(typ="safe", pure=True).compose(text)
        except (YAMLError, RecursionError) as error:
            raise PlanError(f"{path} is no YAML: {_brief(error)}") from None
        if not isinstance(root, MappingNode):
            raise PlanError(f"{path} holds no `key: value` lines")
        self.value: Any = self._value(root, ())

    def where(self, place: Place) -> str:
        """File and line of a place, or of what is next above it."""
        while place not in self._lines and place:
            place = place[:-1]
        return f"{self.path}, line {self._lines.get(place, 1)}"

    def _value(self, node: Node, place: Place) -> Any:
        self._nodes += 1
        if len(place) > _DEEPEST:
            raise PlanError(f"{self.where(place)}: is too deep within other values")
        if self._nodes > _MOST_NODES:  # an alias within an alias within … is a short text for a large value
            raise PlanError(f"{self.path} holds more than {_MOST_NODES:,} values")
        self._lines.setdefault(place, node.start_mark.line + 1)
        match node:
            case ScalarNode():
                return None if node.tag == _NULL else str(node.value)
            case SequenceNode():
                return [self._value(item, (*place, index)) for index, item in enumerate(node.value)]
            case MappingNode():
                return self._mapping(node, place)
            case _:
                raise PlanError(f"{self.where(place)}: this kind of YAML value is not allowed")

    def _mapping(self, node: MappingNode, place: Place) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, ScalarNode):
                raise PlanError(f"{self.path}, line {line}: a key must be one word")
            name = str(key.value)
            if name in found:
                raise PlanError(f"{self.path}, line {line}, {name}: is there twice")
            self._lines[(*place, name)] = line
            found[name] = self._value(value, (*place, name))
        return found


def _require_version(document: Document) -> None:
    """Older versions are read as long as that can be done exactly; there is only one so far."""
    version = document.value.get("version")
    place = document.where(("version",))
    if version is None:
        raise PlanError(f"{document.path} has no `version`", f"write `version: {VERSION}` as its first line")
    if version != str(VERSION):
        raise PlanError(
            f"{place}, version: {version!r} is not known, this orchestrate reads version {VERSION}",
            "have the plan made anew with --plan-only, or use the orchestrate that made it",
        )


def _first_error(document: Document, wanted: type[BaseModel], error: ValidationError) -> PlanError:
    """The first thing that is wrong, where, and what would be right; and how many more there are."""
    first, *others = error.errors(include_url=False)
    place: Place = first["loc"]
    known = _keys(wanted, place[:-1])
    where = f"{document.where(place)}, {_dotted(place)}"
    more = f" (and {len(others)} more)" if others else ""
    match first["type"]:
        case "extra_forbidden":
            close = difflib.get_close_matches(str(place[-1]), known, 1, _CLOSE)
            meant = f"did you mean `{close[0]}`? " if close else ""
            return PlanError(
                f"{where}: there is no such key{more}", f"{meant}there are: {', '.join(sorted(known))}"
            )
        case "missing":
            return PlanError(f"{where}: is missing{more}")
        case _:
            said = first["msg"].removeprefix("Value error, ")
            value = first["input"]
            shown = f" {value!r}" if isinstance(value, str) and len(value) < 80 else ""
            return PlanError(f"{where}:{shown} {said[:1].lower()}{said[1:]}{more}")


def _keys(model: Any, place: Place) -> tuple[str, ...]:
    """The keys that a mapping may have there; none where any is allowed."""
    for part in place:
        model = _within(model, part)
    return tuple(model.model_fields) if _is_model(model) else ()


def _within(model: Any, part: str | int) -> Any:
    if _is_model(model):
        field = model.model_fields.get(part)
        return None if field is None else _bare(field.annotation)
    arguments = typing.get_args(model)
    return _bare(arguments[-1 if isinstance(part, str) else 0]) if arguments else None


def _bare(annotation: Any) -> Any:
    """An annotation without what may be absent and how it is checked."""
    while True:
        if typing.get_origin(annotation) is Annotated:
            annotation = typing.get_args(annotation)[0]
            continue
        options = [one for one in typing.get_args(annotation) if one is not type(None)]
        if len(options) == 1 and type(None) in typing.get_args(annotation):
            annotation = options[0]
            continue
        return annotation


def _is_model(model: Any) -> bool:
    return isinstance(model, type) and issubclass(model, BaseModel)


def _dotted(place: Place) -> str:
    return ".".join(str(part) for part in place)


def _brief(error: Exception) -> str:
    """A YAML error on one line."""
    problem = getattr(error, "problem", None)
    mark = getattr(error, "problem_mark", None)
    if problem is None or mark is None:
        return " ".join(str(error).split())[:200]
    return f"line {mark.line + 1}: {problem}"


def unfit(model: type[BaseModel], values: Mapping[str, Any]) -> frozenset[str]:
    """Of values for a model's fields, those that a file could not hold."""
    try:
        model.model_validate(dict(values))
    except ValidationError as error:
        return frozenset(str(one["loc"][0]) for one in error.errors(include_url=False))
    return frozenset()
