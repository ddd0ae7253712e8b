"""The conditions of rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.planfile.expression import ExpressionError, Fact, Kind, parse

KNOWN = {"machine": Kind.TEXT, "major": Kind.NUMBER, "ports": Kind.NUMBERS, "services": Kind.TEXTS}
FACTS: dict[str, Fact] = {"machine": "web-01", "major": 12, "ports": (80, 443), "services": ("nginx", "app")}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ('machine == "web-01"', True),
        ("machine != 'web-01'", False),
        ('machine matches "web-*"', True),
        ('machine matches "*-02"', False),
        ("major >= 12 and major < 13", True),
        ("major < 12 or 443 in ports", True),
        ("not 443 in ports", False),
        ("8080 not in ports", True),
        ('machine in ["a", "web-01"]', True),
        ("major in [11, 12,13]", True),
        ('not (machine == "a" or "app" in services)', False),
        ("major == 1 or major == 12 and machine == 'x'", False),
        ("(major == 1 or major == 12) and machine == 'web-01'", True),
        ("not not major == 12", True),
    ],
)
def test_what_holds(text: str, holds: bool) -> None:
    assert parse(text, KNOWN)(FACTS) is holds


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("machin == 'a'", "column 1: machin is not known here; did you mean machine?"),
        ("major == '12'", "column 10: this is a text, where a number is wanted"),
        ("machine < 'b'", "where a number is wanted"),
        ("machine in ports", "where a number is wanted"),
        ("machine in 'web'", "takes several values"),
        ("major matches '1*'", "where a text is wanted"),
        ("machine", "expected =="),
        ("machine == ", "it ends where a fact"),
        ("(machine == 'a'", "where `)` is wanted"),
        ("machine == 'a' machine", "where `and`, `or` or the end"),
        ("machine == 'a", "column 12"),
        ("__import__('os')", "is not known here"),
        ("machine.upper() == 'A'", "column 8"),
        ("major in [1, 'a']", "not both"),
        ("major in [1 2]", "where `,` is wanted"),
        ("major in []", "a list holds"),
        ("(" * 200 + "major == 1" + ")" * 200, "too deep"),
    ],
)
def test_what_is_wrong(text: str, words: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(text, KNOWN)
    assert words in str(caught.value)


_WORDS = [
    "machine",
    "major",
    "ports",
    "(",
    ")",
    "[",
    "]",
    ",",
    "==",
    "<",
    "and",
    "or",
    "not",
    "in",
    "matches",
]


@given(st.lists(st.sampled_from([*_WORDS, "'a*'", "12", "&"]), max_size=30))
def test_any_text_is_a_condition_or_an_error(words: list[str]) -> None:
    try:
        condition = parse(" ".join(words), KNOWN)
    except ExpressionError:
        return
    assert condition(FACTS) in (True, False)
