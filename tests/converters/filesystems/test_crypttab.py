"""What a guest calls its encrypted volumes, and what it mounts of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from converters.filesystems.crypttab import by_our_name, mapped_names
from converters.filesystems.fstab import Line
from converters.filesystems.places import find_volumes
from converters.filesystems.unmounted import unmounted
from converters.volumes.base import Content, Volume
from tests.directory_filesystem import DirectoryFilesystem

UUID = "28632274-8c8a-493f-835b-da802e1c576b"
LOCKED = Volume(0, 1 << 20, 1 << 30, 3, Content("crypto_LUKS", UUID, "secret"), "aa-bb", "", "Safe part")
PLAIN = Volume(0, 1 << 30, 1 << 30, 4, Content("ext4", "1234"))
OPENED = Volume(1, 0, 1 << 30, 0, Content("ext4", "5678"), name=f"/dev/mapper/luks-{UUID}")
VOLUMES = (LOCKED, PLAIN, OPENED)


@pytest.mark.parametrize(
    "source",
    [
        f"UUID={UUID}",
        f'UUID="{UUID}"',
        f"/dev/disk/by-uuid/{UUID}",
        "LABEL=secret",
        "PARTUUID=AA-BB",
        "/dev/sda3",
    ],
)
def test_a_name_leads_to_what_was_opened(tmp_path: Path, source: str) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/crypttab").write_text(
        f"# name source\n\nsafe-1\t{source} none luks,discard\nswap /dev/sda4 /dev/urandom swap\nodd\n"
    )
    names = mapped_names(DirectoryFilesystem(tmp_path), VOLUMES)
    assert names == {"/dev/mapper/safe-1": OPENED.name}
    line = by_our_name(Line("/dev/mapper/safe-1", "/srv", "ext4", ("ro",)), names)
    assert find_volumes(line, VOLUMES) == [OPENED]
    other = Line("/dev/mapper/other", "/srv", "ext4", ())
    assert by_our_name(other, names) == other


def test_without_a_file_there_is_no_name(tmp_path: Path) -> None:
    assert mapped_names(DirectoryFilesystem(tmp_path), VOLUMES) == {}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary())
def test_no_content_raises(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "etc").mkdir(exist_ok=True)
    (tmp_path / "etc/crypttab").write_bytes(content)
    mapped_names(DirectoryFilesystem(tmp_path), VOLUMES)


def test_an_opened_volume_is_told_by_what_is_in_it() -> None:
    facts, _ = unmounted(VOLUMES, (), ())
    assert [fact.device for fact in facts] == ["disk 0 partition 4", OPENED.name]
    facts, notes = unmounted((LOCKED, PLAIN), (), ())
    assert facts[0].type == "crypto_LUKS"
    assert notes[0].startswith("disk 0 partition 3 (crypto_LUKS, label secret, 1.0 GiB) is mounted nowhere")
