"""Capabilities of files, as the kernel writes them."""

from __future__ import annotations

import struct

import pytest

from converters.guest.privilege.capabilities import ENGINE_DEFAULT, GENERAL_ROOT, file_capabilities, ordered
from tests.trees import CAPABILITY, CAPABILITY_OF_NAMESPACE

FIRST_REVISION = struct.pack("<3I", 0x01000000, 1 << 10, 0)
HIGH = struct.pack("<5I", 0x02000001, 1 << 12, 0, 1 << (39 - 32), 0)
OF_THE_HOST = struct.pack("<6I", 0x03000001, 1 << 10, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (CAPABILITY, (("CAP_NET_RAW",), True)),
        (FIRST_REVISION, (("CAP_NET_BIND_SERVICE",), False)),
        (HIGH, (("CAP_NET_ADMIN", "CAP_BPF"), True)),
        (OF_THE_HOST, (("CAP_NET_BIND_SERVICE",), True)),
        # For a user namespace of another: on the machine itself it gives nothing.
        (CAPABILITY_OF_NAMESPACE, ((), False)),
        (b"", ((), False)),
        (CAPABILITY[:-1], ((), False)),
        (b"\xff" * 20, ((), False)),
    ],
)
def test_what_an_attribute_gives(value: bytes, expected: tuple[tuple[str, ...], bool]) -> None:
    assert file_capabilities(value) == expected


def test_sets() -> None:
    assert len(ENGINE_DEFAULT) == 14
    assert GENERAL_ROOT < ENGINE_DEFAULT
    assert ordered({"CAP_SETUID", "CAP_CHOWN", "CAP_NONE"}) == ("CAP_CHOWN", "CAP_SETUID")
