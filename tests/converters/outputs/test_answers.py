"""What a registry's answers say of when to ask again."""

from __future__ import annotations

import pytest

from converters.outputs.answers import retry_after

LONG_AGO = "Fri, 31 Dec 1999 23:59:50 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "Sat, 01 Jan 2000 00:00:00 GMT", "Date": LONG_AGO}, 10.0),
        ({"Retry-After": LONG_AGO, "Date": "Sat, 01 Jan 2000 00:00:00 GMT"}, 0.0),
        ({"Retry-After": LONG_AGO}, 0.0),
        ({"Retry-After": "soon", "Date": LONG_AGO}, 0.0),
        ({}, 0.0),
    ],
)
def test_a_wait_follows_the_registrys_clock(headers: dict[str, str], seconds: float) -> None:
    assert retry_after(headers) == seconds
