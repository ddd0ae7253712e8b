"""What services are for, by their names: rules in order, of which the first that fits decides.

The rules of the product are data (``roles.toml``). Rules of a person, of the same form, go before them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from converters.guest.facts import Role

TABLE = Path(__file__).with_name("roles.toml")


@dataclass(frozen=True, slots=True)
class RoleRule:
    """What the services of some names are for."""

    services: tuple[str, ...]
    """Patterns in the shell's way (fnmatch(3)), against a name without ``.service``."""
    role: Role
    reason: str
    """Told to whoever asks why."""

    def fits(self, name: str) -> bool:
        """Whether the rule speaks of the service of that name."""
        return any(_fits(name, pattern) for pattern in self.services)


def _fits(name: str, pattern: str) -> bool:
    """As fnmatchcase, which would compile some four hundred patterns: more time than a small guest takes."""
    if "[" in pattern or "?" in pattern or "*" in pattern[:-1]:
        return fnmatchcase(name, pattern)
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


def role_rule(table: Mapping[str, Any]) -> RoleRule:
    """A rule as a table of a file has it: ``services``, ``role``, ``reason``.

    Raises:
        KeyError: a key is missing.
        ValueError: there is no such role.
    """
    return RoleRule(tuple(table["services"]), Role(table["role"]), str(table["reason"]))


@cache
def built_in_rules() -> tuple[RoleRule, ...]:
    """The rules of the product."""
    with TABLE.open("rb") as file:
        return tuple(role_rule(table) for table in tomllib.load(file)["rule"])


def matching_rule(name: str, rules: Iterable[RoleRule]) -> RoleRule | None:
    """The first rule that speaks of the service of that name (without ``.service``)."""
    return next((rule for rule in rules if rule.fits(name)), None)


def own_rule(name: str) -> RoleRule | None:
    """The product's rule for a service that is not what the machine is there for; None where it may be."""
    found = matching_rule(name, built_in_rules())
    return None if found is None or found.role is Role.APPLICATION else found


def platform_reason(name: str) -> str:
    """Why a service of that name is the machine's own; empty when it is not."""
    found = own_rule(name)
    return "" if found is None else found.reason
