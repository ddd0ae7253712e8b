"""Text from strangers whose cost must not grow faster than its length: each of these once took minutes."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from converters.descriptors.archive import members
from converters.descriptors.manifest import parse_manifest
from converters.descriptors.vmx import parse_vmx
from converters.disks.vmdk import parse_descriptor
from converters.errors import DescriptorError, DiskError
from converters.volumes.lvm import text
from converters.volumes.lvm.mapping import VolumeMap

SECONDS = 5.0
"""Far more than any of them takes, and far less than what it took."""


def _vmdk() -> None:
    name = b"\xe9a" * 200_000
    lines = (b"# Disk DescriptorFile", b"version=1", b'encoding="punycode"', b"CID=1", b"parentCID=ffffffff")
    extent = b'RW 1 FLAT "' + name + b'" 0'
    parse_descriptor(b"\n".join((*lines, extent))).file_names(name)


INPUTS: dict[str, Callable[[], object]] = {
    "comments of LVM": lambda: text.parse("#" * 100_000 + "\n@"),
    "a string of LVM": lambda: text.parse('a = "' + "\\a" * 100_000),
    "a number of LVM": lambda: text.parse("a = " + "1" * 100_000),
    "blanks of a VMX": lambda: parse_vmx(b"a=" + b" " * 200_000 + b'"'),
    "blanks of a manifest": lambda: parse_manifest(b"SHA1(" + b" " * 4_900, "x.mf"),
    "brackets of a manifest": lambda: parse_manifest(b"SHA1" + b"(" * 2_400 + b")" * 2_400, "x.mf"),
    "a name in a VMDK": _vmdk,
}


@pytest.mark.parametrize("name", INPUTS)
def test_it_ends_soon(name: str) -> None:
    began = time.monotonic()
    with suppress(DescriptorError, DiskError):
        INPUTS[name]()
    assert time.monotonic() - began < SECONDS


def test_an_archive_of_many_records_ends_soon(tmp_path: Path) -> None:
    body = b"5 a=\n" * 200_000

    def header(name: bytes, size: int, kind: bytes) -> bytes:
        block = bytearray(512)
        block[: len(name)] = name
        block[124:136] = b"%011o\0" % size
        block[148:156], block[156:157] = b" " * 8, kind
        struct.pack_into("8s", block, 257, b"ustar\x0000")
        block[148:156] = b"%06o\0 " % sum(block)
        return bytes(block)

    path = tmp_path / "x.ova"
    padded = body + bytes(-len(body) % 512)
    path.write_bytes(header(b"h", len(body), b"x") + padded + header(b"a", 0, b"0") + bytes(1024))
    began = time.monotonic()
    assert [member.name for member in members(str(path))] == ["a"]
    assert time.monotonic() - began < SECONDS


def test_a_volume_that_is_not_described_is_told_as_a_fault_of_the_disk() -> None:
    with pytest.raises(DiskError, match="do not describe"):
        VolumeMap((), {}, 4 << 20, {}).segments("gone")
