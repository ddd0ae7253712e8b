"""The YAML file of ``--config``: which settings it gives, as text, and where each stands, for messages."""

from __future__ import annotations

import typing
from dataclasses import dataclass
from pathlib import Path

import yaml

from orchestrator.errors import UsageError
from orchestrator.settings import Settings, declaration, environment_name

_NULL = "tag:yaml.org,2002:null"


@dataclass(frozen=True, slots=True)
class Entry:
    """One setting of the file."""

    value: str | list[str]
    """As it is written there, not as YAML would understand it: a tag ``1.10`` is not the number 1.1."""
    origin: str
    """File, line and key, for a message."""


def load(path: Path) -> dict[str, Entry]:
    """The settings that the file gives, by their fields' names; those without a value are left out.

    Raises:
        UsageError: it cannot be read, or holds what is no setting.
    """
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), yaml.SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"cannot read the configuration file {path}: {error}") from None
    if not isinstance(root, yaml.MappingNode):
        raise UsageError(f"the configuration file {path} holds no `name: value` lines")
    entries: dict[str, Entry] = {}
    for key, value in root.value:
        origin = f"{path}, line {key.start_mark.line + 1}, {_shown(key)}"
        name = _setting(key, origin)
        if name in entries:
            raise UsageError(f"{origin}: is there twice", f"the other one: {entries[name].origin}")
        if value.tag != _NULL:
            entries[name] = Entry(_value(name, value, origin), origin)
    return entries


def takes_several(name: str) -> bool:
    """Whether a setting is a list."""
    return typing.get_origin(Settings.model_fields[name].annotation) is tuple


def _setting(key: yaml.Node, origin: str) -> str:
    name = _shown(key).replace("-", "_")
    secrets = [one for one, field in Settings.model_fields.items() if declaration(field).secret]
    if name in secrets:
        raise UsageError(
            f"{origin}: must not stand in a configuration file",
            f"use {name}_file or the environment variable {environment_name(name)}",
        )
    if name not in Settings.model_fields:
        known = ", ".join(sorted({*Settings.model_fields} - {*secrets}))
        raise UsageError(f"{origin}: there is no such setting", f"there are: {known}")
    return name


def _value(name: str, value: yaml.Node, origin: str) -> str | list[str]:
    several = takes_several(name)
    match value:
        case yaml.ScalarNode():
            return [value.value] if several else str(value.value)
        case yaml.SequenceNode() if several and all(isinstance(one, yaml.ScalarNode) for one in value.value):
            return [one.value for one in value.value]
        case _:
            wanted = "one value, or a list of them" if several else "one value"
            raise UsageError(f"{origin}: takes {wanted}")


def _shown(key: yaml.Node) -> str:
    return str(key.value) if isinstance(key, yaml.ScalarNode) else "a key that is no word"
