"""What is left out of an image is chosen for each guest."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from converters.image.rules import RULES
from converters.reader.child import rules
from converters.reading import Reading


def guest(*swap_files: str) -> Any:
    """As much of a guest's tree as the choice looks at."""
    return SimpleNamespace(swap_files=swap_files)


def test_the_default_rules() -> None:
    assert rules(guest(), Reading()) == tuple(rule for rule in RULES if rule.default)


def test_rules_are_switched_by_name() -> None:
    names = {rule.name for rule in rules(guest(), Reading(keep=("boot",), clean=("ssh-of-people",)))}
    assert "boot" not in names
    assert "ssh-of-people" in names


def test_swap_files_that_fstab_names_are_left_out() -> None:
    last = rules(guest("/data/paging"), Reading())[-1]
    assert (last.name, last.patterns) == ("swap-fstab", ("data/paging",))
