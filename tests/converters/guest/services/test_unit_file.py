"""Unit files: continuations, comments, resets (systemd.syntax(7))."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.guest.services.unit_file import Settings, parse_unit


def _exec_start(body: str) -> list[str]:
    return Settings(parse_unit("[Service]\n" + body)).all("Service", "ExecStart")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("ExecStart=/a", ["/a"]),
        ("ExecStart = /a  \n", ["/a"]),
        ("# note \\\nExecStart=/a", ["/a"]),
        ("  ; note \\\nExecStart=/a", ["/a"]),
        ("ExecStart=/a \\\n  b", ["/a    b"]),
        ("ExecStart=/a \\\n# inside\n; inside too \\\n  b\nType=x", ["/a    b"]),
        ('ExecStart=/bin/sh -c "echo \\"x\\""\nType=x', ['/bin/sh -c "echo \\"x\\""']),
        ("ExecStart=/a \\\\\nType=x", ["/a \\\\"]),
        ("ExecStart=/a \\\n\nType=x", ["/a"]),
        ("ExecStart=/a \\", ["/a"]),
        ("ExecStart=/a\nExecStart=/b", ["/a", "/b"]),
        ("ExecStart=/a\nExecStart=\nExecStart=/b", ["/b"]),
        ("ExecStart=/a\nExecStart=", []),
        ("ExecStart=/a # no comment", ["/a # no comment"]),
        ("ExecStart\nExecStart=/a=b", ["/a=b"]),
        ("[Other]\nExecStart=/a", []),
        ("[Other\nExecStart=/a", []),
        ("[Install]\nAlias=x\n[Service]\nExecStart=/a", ["/a"]),
        ("ExecStart=/a\r\nType=x\r\n", ["/a"]),
    ],
)
def test_values(body: str, expected: list[str]) -> None:
    assert _exec_start(body) == expected


def test_a_byte_order_mark_and_keys_before_any_section() -> None:
    assert parse_unit("\ufeffKey=lost\n[Unit]\nDescription=x") == [("Unit", "Description", "x")]


def test_an_empty_value_brings_the_default_back() -> None:
    settings = Settings(parse_unit("[Service]\nType=notify\nType=\n"))
    assert settings.last("Service", "Type", "simple") == "simple"
    assert settings.has("Service")
    assert not settings.has("Socket")


@given(st.text(alphabet="[]=#;\\ \nab\r\t\"'"))
def test_any_text_is_read(text: str) -> None:
    for section, key, value in parse_unit(text):
        assert section
        assert value == value.strip()
        assert "=" not in key


def test_real_units_are_read(cases: Path) -> None:
    units = [
        path
        for path in (cases / "UNIT-01/test/units").iterdir()
        if path.suffix == ".service" and path.is_file()
    ]
    assert len(units) > 50
    for path in units:
        settings = Settings(parse_unit(path.read_text()))
        assert settings.has("Service") or settings.has("Unit"), path.name
        says = sum(line.startswith("ExecStart=") for line in path.read_text().splitlines())
        assert bool(settings.all("Service", "ExecStart")) == bool(says), path.name


def test_fuzzed_units_do_not_stop_the_reader(cases: Path) -> None:
    files = [path for path in (cases / "UNIT-01/test/fuzz/fuzz-unit-file").iterdir() if path.is_file()]
    assert files
    for path in files:
        parse_unit(path.read_bytes().decode("utf-8", "backslashreplace"))
