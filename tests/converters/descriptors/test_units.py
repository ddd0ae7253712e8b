"""Units of quantities in an OVF."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.descriptors.units import byte_count, megahertz
from converters.errors import DescriptorError


@pytest.mark.parametrize(
    ("quantity", "unit", "expected"),
    [
        ("1024", None, 1024),
        ("1024", "", 1024),
        ("1024", "byte", 1024),
        ("512", "byte * 2^20", 512 << 20),
        ("1", "byte*2^20", 1 << 20),
        ("1", "byte * 2^15", 32768),
        ("1", " Byte  *  2 ^ 30 ", 1 << 30),
        ("3", "byte * 10^9", 3 * 10**9),
        ("3", "byte * 1024", 3072),
        ("3", "byte * 2^10 * 2^10", 3 << 20),
        ("4096", "byte / 2", 2048),
        ("4096", "byte * 2^-2", 1024),
        ("50", "GigaBytes", 50 << 30),
        ("50", "MegaBytes", 50 << 20),
        ("50", "KiloBytes", 50 << 10),
        ("50", "MB", 50 << 20),
    ],
)
def test_bytes(quantity: str, unit: str | None, expected: int) -> None:
    assert byte_count(quantity, unit) == expected


@pytest.mark.parametrize(
    ("quantity", "unit"),
    [
        ("1", "furlong"),
        ("1", "byte ** 2"),
        ("1", "byte * 2^"),
        ("1", "byte * x"),
        ("1", "byte 2^20"),
        ("1", "byte * 0"),
        ("1", "byte * 9999^999"),
        ("1", "byte" + " * 2" * 20),
        ("3", "byte / 2"),
        ("", "byte"),
        ("-1", "byte"),
        ("1.5", "byte"),
        ("${size}", None),
        ("٣", "byte"),
    ],
)
def test_what_is_no_size_is_an_error(quantity: str, unit: str | None) -> None:
    with pytest.raises(DescriptorError):
        byte_count(quantity, unit)


def test_megahertz() -> None:
    assert megahertz("500", "hertz * 10^6") == 500
    assert megahertz("500", None) == 500
    assert megahertz("2", "GHz") == 2000


@given(st.text(max_size=40))
def test_any_unit(unit: str) -> None:
    try:
        assert byte_count("1", unit) > 0
    except DescriptorError as error:
        assert error.message
