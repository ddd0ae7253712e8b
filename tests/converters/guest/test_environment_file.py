"""``NAME=value`` files as systemd reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.guest.environment_file import parse_environment_file


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=b", [("A", "b")]),
        ("A=b\n", [("A", "b")]),
        ("  A = b c  \nB=2", [("A", "b c"), ("B", "2")]),
        ("A=\nB=x", [("A", ""), ("B", "x")]),
        ("export A=b\nB=1", [("B", "1")]),
        ("# A=1\n; B=2\nC=3 # kept", [("C", "3 # kept")]),
        ("# ends in a backslash \\\nA=1", [("A", "1")]),
        ("A='single \"$x\" \\n'", [("A", 'single "$x" \\n')]),
        ('A="double \\"q\\" \\$x \\\\ \\n"', [("A", 'double "q" $x \\ \\n')]),
        ('A="two\nlines"\nB=1', [("A", "two\nlines"), ("B", "1")]),
        ("A=one\\\ntwo\nB=1", [("A", "onetwo"), ("B", "1")]),
        ("A=\"joined \"'pieces'", [("A", "joined pieces")]),
        ("A=it's", [("A", "it's")]),
        ("A=$HOME/x", [("A", "$HOME/x")]),
        ("no assignment\nA=1", [("A", "1")]),
        ("1A=x\nA-B=y\nA=z", [("A", "z")]),
        ("A=1\r\nB='2'\r\n", [("A", "1"), ("B", "2")]),
        ("A=trailing\\ ", [("A", "trailing ")]),
        ('A="unclosed\nB=1', [("A", "unclosed\nB=1")]),
        ("", []),
    ],
)
def test_values(text: str, expected: list[tuple[str, str]]) -> None:
    assert parse_environment_file(text) == expected


@given(st.text(alphabet="AB=\\\"'# ;\n$ x"))
def test_any_text_is_read(text: str) -> None:
    for name, _ in parse_environment_file(text):
        assert name.isidentifier()


@given(st.dictionaries(st.sampled_from(["A", "B_1", "_C"]), st.text(alphabet="ab\"\\$` '#\n")))
def test_quoted_values_come_back(values: dict[str, str]) -> None:
    quoted = {
        name: "".join("\\" + char if char in '"\\$`' else char for char in value)
        for name, value in values.items()
    }
    text = "".join(f'{name}="{value}"\n' for name, value in quoted.items())
    assert dict(parse_environment_file(text)) == values
