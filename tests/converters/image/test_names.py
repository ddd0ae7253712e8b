"""VM names as repository names."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.image.names import LONGEST_NAME, repository_names
from converters.outputs.reference import COMPONENT


def one(name: str) -> str:
    return repository_names([(name, "uuid-1")])["uuid-1"]


@pytest.mark.parametrize(
    ("name", "repository"),
    [
        ("web01", "web01"),
        ("WEB01 (old)", "web01-old"),
        ("DC0_H0_VM0", "dc0_h0_vm0"),
        ("a__b", "a__b"),
        ("a___b", "a-b"),
        ("a..b", "a-b"),
        ("a--b", "a--b"),
        ("a.-b", "a-b"),
        ("-.web._", "web"),
        ("app/prod%x", "app-prod-x"),
        ("Zürich Straße", "zurich-strasse"),
        ("ＦＵＬＬ", "full"),
    ],
)
def test_readable_names(name: str, repository: str) -> None:
    assert one(name) == repository


def test_name_that_lost_letters_gets_a_suffix() -> None:
    assert re.fullmatch(r"web-[0-9a-f]{8}", one("web-数据库"))
    assert re.fullmatch(r"vm-[0-9a-f]{8}", one("数据库"))
    assert re.fullmatch(r"vm-[0-9a-f]{8}", one("---"))


def test_suffix_depends_on_the_machine_alone() -> None:
    there = repository_names([("Web", "u1"), ("web", "u2"), ("db", "u3")])
    back = repository_names([("db", "u3"), ("web", "u2"), ("Web", "u1")])
    assert there == back
    assert there["u3"] == "db"
    assert there["u1"] != there["u2"]
    assert repository_names([("web", "u2"), ("WEB", "u9")])["u2"] == there["u2"]


def test_name_equal_to_another_ones_suffixed_name() -> None:
    suffixed = repository_names([("web", "u1"), ("web", "u2")])["u1"]
    names = repository_names([("web", "u1"), ("web", "u2"), (suffixed, "u3")])
    assert len(set(names.values())) == 3


def test_one_unique_id_twice_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="not unique: u1"):
        repository_names([("a", "u1"), ("b", "u1")])


@given(
    st.lists(st.text(max_size=200), max_size=8),
    st.lists(st.sampled_from(["web", "WEB", "w é b"]), max_size=4),
)
def test_any_names_give_valid_and_distinct_components(texts: list[str], alike: list[str]) -> None:
    machines = [(name, f"id-{number}") for number, name in enumerate([*texts, *alike])]
    names = repository_names(machines)
    assert len(set(names.values())) == len(machines)
    for name in names.values():
        assert COMPONENT.fullmatch(name)
        assert len(name) <= LONGEST_NAME
