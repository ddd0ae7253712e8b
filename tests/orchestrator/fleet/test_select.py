"""Which VMs a person's patterns take."""

from __future__ import annotations

import pytest

from orchestrator.fleet.select import Selection, select, unmatched
from tests.orchestrator.fleet.vms import make_vm

VMS = (
    make_vm("web-01", folder="prod"),
    make_vm("WEB-02", folder="test"),
    make_vm("db", folder="prod/data"),
    make_vm("a/b", folder=""),
    make_vm("größe", folder=""),
)


@pytest.mark.parametrize(
    ("include", "exclude", "taken"),
    [
        ((), (), ["web-01", "WEB-02", "db", "a/b", "größe"]),
        (("web-*",), (), ["web-01", "WEB-02"]),
        (("web-*", "db"), ("*-02",), ["web-01", "db"]),
        (("prod/*",), (), ["web-01", "db"]),
        ((), ("prod/*",), ["WEB-02", "a/b", "größe"]),
        (("a/b",), (), ["a/b"]),
        (("GRÖSSE",), (), ["größe"]),
        (("nothing",), (), []),
    ],
)
def test_selection(include: tuple[str, ...], exclude: tuple[str, ...], taken: list[str]) -> None:
    assert [vm.name for vm in select(VMS, Selection(include, exclude))] == taken


def test_a_pattern_that_matches_nothing_is_named() -> None:
    assert unmatched(VMS, Selection(("web-*", "wbe-01"))) == ("wbe-01",)
