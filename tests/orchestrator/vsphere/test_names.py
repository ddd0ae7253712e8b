from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import ExitCode, NotFoundError
from orchestrator.vsphere.names import Node, decode, encode, find_datacenter, folder_path

TREE = {
    "group-d1": Node("", None),
    "group-f1": Node("north", "group-d1"),
    "group-f2": Node("south", "group-d1"),
    "dc-1": Node("Lab", "group-f1", datacenter=True),
    "dc-2": Node("Lab", "group-f2", datacenter=True),
    "dc-3": Node("R/D", "group-d1", datacenter=True),
    "group-v1": Node("vm", "dc-1"),
    "group-v2": Node("web", "group-v1"),
    "group-v3": Node("a/b", "group-v2"),
}


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("a%2fb", "a/b"),
        ("a%2Fb", "a/b"),
        ("a%5cb", "a\\b"),
        ("50%25", "50%"),
        ("%252f", "%2f"),
        ("%20", "%20"),
    ],
)
def test_names_are_decoded_once_and_only_what_vcenter_escapes(stored: str, shown: str) -> None:
    assert decode(stored) == shown


@given(st.text())
def test_decoding_reverts_encoding(name: str) -> None:
    assert decode(encode(name)) == name


@pytest.mark.parametrize(
    ("moref", "path"),
    [("group-v1", ""), ("group-v2", "web"), ("group-v3", "web/a%2fb"), ("dc-1", "north/Lab"), (None, "")],
)
def test_folders_count_from_the_datacenter(moref: str | None, path: str) -> None:
    assert folder_path(TREE, moref) == path


@pytest.mark.parametrize(
    ("wanted", "moref"), [("R/D", "dc-3"), ("R%2fD", "dc-3"), ("/R%2fD", "dc-3"), ("/north/Lab", "dc-1")]
)
def test_a_datacenter_is_found_by_name_and_by_path(wanted: str, moref: str) -> None:
    assert find_datacenter(TREE, wanted)[0] == moref


def test_an_ambiguous_name_is_answered_with_the_paths() -> None:
    with pytest.raises(NotFoundError, match=r"2 datacenters are named 'Lab'.*/north/Lab, /south/Lab"):
        find_datacenter(TREE, "Lab")


def test_an_unknown_name_is_answered_with_those_there_are() -> None:
    with pytest.raises(NotFoundError, match="there are: /north/Lab, /south/Lab, R%2fD") as caught:
        find_datacenter(TREE, "DC9")
    assert caught.value.exit_code is ExitCode.NOTHING_MATCHED


def test_no_datacenter_at_all_points_at_the_privilege() -> None:
    with pytest.raises(NotFoundError, match=r"System\.View"):
        find_datacenter({"group-d1": Node("", None)}, "DC0")
