"""OVA files, read where their members lie."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from converters import process
from converters.descriptors.archive import members
from converters.errors import ConvertError, DescriptorError
from tests.converters.descriptors.packages import ova

LONG = "folder/" + "n" * 150 + ".vmdk"
FILES = {"web.ovf": b"envelope", LONG: b"x" * 1500, "./größe.vmdk": b"y", "empty.nvram": b""}


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members(tmp_path: Path, form: int) -> None:
    files = FILES if form != tarfile.USTAR_FORMAT else {"folder/" * 10 + "a.vmdk": b"x", **FILES}
    if form == tarfile.USTAR_FORMAT:
        del files[LONG]  # ustar has no room for it
    path = ova(tmp_path / "web.ova", files, form)
    data = path.read_bytes()
    found = {one.name: data[one.offset : one.offset + one.size] for one in members(str(path))}
    assert found == {name.removeprefix("./"): content for name, content in files.items()}


@pytest.mark.parametrize("form", [1, 2])
def test_sizes_that_octal_digits_cannot_tell(tmp_path: Path, form: Literal[1, 2]) -> None:
    """GNU tar's binary numbers and pax's, of a member of 9 GiB: a hole."""
    member = tarfile.TarInfo("big.vmdk")
    member.size = 9 << 30
    path = tmp_path / "web.ova"
    path.write_bytes(header := member.tobuf(form))
    with path.open("r+b") as file:
        file.truncate(len(header) + member.size)
    (found,) = members(str(path))
    assert (found.name, found.size, found.offset) == ("big.vmdk", member.size, len(header))


def test_links_and_folders_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/link.vmdk").symlink_to("/etc/passwd")
    (tmp_path / "folder/a.vmdk").write_bytes(b"x")
    process.run(["tar", "-C", str(tmp_path), "-cf", str(tmp_path / "web.ova"), "folder"])
    assert [one.name for one in members(str(tmp_path / "web.ova"))] == ["folder/a.vmdk"]


@pytest.mark.parametrize("content", [b"\x1f\x8b\x08 compressed", b"x" * 512, b"\0" * 1024, b"short"])
def test_what_is_no_archive(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "web.ova").write_bytes(content)
    with pytest.raises(DescriptorError, match="is no OVA"):
        members(str(tmp_path / "web.ova"))


def test_a_cut_archive(tmp_path: Path) -> None:
    path = ova(tmp_path / "web.ova", {"web.ovf": b"x" * 2000, "a.vmdk": b"y" * 5000})
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(DescriptorError, match=r"ends within its member 'a\.vmdk'"):
        members(str(path))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 3000), st.binary(min_size=1, max_size=12))
def test_damaged_archives(tmp_path: Path, position: int, damage: bytes) -> None:
    data = bytearray(ova(tmp_path / "web.ova", FILES, tarfile.PAX_FORMAT).read_bytes())
    data[position : position + len(damage)] = damage
    (tmp_path / "damaged.ova").write_bytes(data)
    try:
        found = members(str(tmp_path / "damaged.ova"))
    except ConvertError as error:
        assert error.message
    else:
        assert all(one.offset + one.size <= len(data) for one in found)
