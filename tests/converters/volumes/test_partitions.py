"""Partition tables that fdisk wrote read as fdisk reads them; damaged and hostile ones end in an answer."""

from __future__ import annotations

import lzma
import os
import shutil
import struct
import subprocess
import uuid
import zlib
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from converters.disks.raw import RawDisk
from converters.volumes import Scheme, VolumeTable, read_volumes

MIB = 1 << 20
LINUX = "0fc63daf-8483-4772-8e79-3d69d8477de4"


def volumes(path: Path) -> VolumeTable:
    with closing(RawDisk(str(path))) as disk:
        return read_volumes(disk, 0)


def partitioned(path: Path, script: str, size: int = 64 * MIB, sector: int = 512) -> Path:
    path.touch()
    os.truncate(path, size)
    written = path.with_name("script")
    written.write_text(script)
    commands = f"I\n{written}\nw\n"
    fdisk = ["fdisk", "-b", str(sector), "-w", "never", str(path)]
    subprocess.run(fdisk, input=commands.encode(), check=True, capture_output=True)
    return path


def by_fdisk(path: Path, sector: int = 512) -> list[tuple[int, int, int]]:
    """Number, start and size in bytes of the partitions that can hold data."""
    command = ["fdisk", "-b", str(sector), "-l", "-o", "Device,Start,Sectors,Type", str(path)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    rows = [line.removeprefix(str(path)).split() for line in lines if line.startswith(str(path))]
    return [
        (int(number), int(start) * sector, int(sectors) * sector)
        for number, start, sectors, *kind in rows
        if kind[0] != "Extended"
    ]


def places(table: VolumeTable) -> list[tuple[int, int, int]]:
    return [(volume.number, volume.start, volume.size) for volume in table.volumes]


def copy_in(path: Path, offset: int, source: Path) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(source.read_bytes())


@pytest.fixture
def ext4(tmp_path: Path) -> Path:
    path = tmp_path / "ext4"
    path.touch()
    os.truncate(path, 4 * MIB)
    identity = "11111111-2222-3333-4444-555555555555"
    subprocess.run(["mkfs.ext4", "-q", "-F", "-L", "root", "-U", identity, str(path)], check=True)
    return path


@pytest.mark.parametrize("sector", [512, 4096])
def test_gpt(tmp_path: Path, ext4: Path, sector: int) -> None:
    script = f"""label: gpt
start={2 * MIB // sector}, size={8 * MIB // sector}, name=boot, uuid=AAAAAAAA-BBBB-4CCC-8DDD-EEEEEEEEEEEE
size={16 * MIB // sector}, type=swap, name=Wurzel-ä
"""
    path = partitioned(tmp_path / "disk", script, sector=sector)
    copy_in(path, 2 * MIB, ext4)
    table = volumes(path)
    assert (table.scheme, table.notes) == (Scheme.GPT, ())
    assert places(table) == by_fdisk(path, sector)
    first, second = table.volumes
    assert (first.content.type, first.content.label) == ("ext4", "root")
    assert first.partition_uuid == "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
    assert (first.partition_type, first.partition_label) == (LINUX, "boot")
    assert (second.content.type, second.partition_label) == ("", "Wurzel-ä")


MBR_SCRIPT = """label: dos
label-id: 0xdeadbeef
start=2048, size=4096, type=83, bootable
start=6144, size=4096, type=82
start=10240, type=5
start=12288, size=8192
start=22528, size=4096
start=30720, size=2048
"""


def test_mbr_with_logical_partitions(tmp_path: Path, ext4: Path) -> None:
    path = partitioned(tmp_path / "disk", MBR_SCRIPT)
    copy_in(path, 12288 * 512, ext4)
    table = volumes(path)
    assert (table.scheme, table.notes) == (Scheme.MBR, ())
    assert places(table) == by_fdisk(path)
    assert [volume.number for volume in table.volumes] == [1, 2, 5, 6, 7]
    assert [volume.partition_uuid for volume in table.volumes][::2] == [
        "deadbeef-01",
        "deadbeef-05",
        "deadbeef-07",
    ]
    assert [volume.partition_type for volume in table.volumes][:2] == ["0x83", "0x82"]
    assert table.volumes[2].content.label == "root"


def test_logical_partitions_after_one_was_deleted(tmp_path: Path) -> None:
    path = partitioned(tmp_path / "disk", MBR_SCRIPT)
    subprocess.run(
        ["sfdisk", "-q", "--no-reread", "--delete", str(path), "6"], check=True, capture_output=True
    )
    assert places(volumes(path)) == by_fdisk(path)


def mbr(*entries: tuple[int, int, int]) -> bytes:
    """A table of type, first sector and size."""
    records = b"".join(struct.pack("<B3xB3xII", 0, *entry) for entry in entries)
    return bytes(446) + records.ljust(64, b"\0") + b"\x55\xaa"


def sparse(path: Path, size: int, parts: dict[int, bytes]) -> Path:
    """A disk with ``parts`` by sector."""
    with path.open("wb") as file:
        file.truncate(size)
        for sector, part in parts.items():
            file.seek(sector * 512)
            file.write(part)
    return path


def test_a_gap_in_the_chain_of_logical_partitions(tmp_path: Path) -> None:
    parts = {
        0: mbr((0x05, 2048, 4 << 20)),
        2048: mbr((0, 0, 0), (0x05, 4096, 800_000)),
        2048 + 4096: mbr((0x83, 1, 782335), (0x05, 2097151 - 2048 - 1, 4096)),
        2097150: mbr((0x83, 1, 1)),
    }
    table = volumes(sparse(tmp_path / "disk", 3 << 30, parts))
    assert [(number, start // 512, size // 512) for number, start, size in places(table)] == [
        (5, 6145, 782335),
        (6, 2097151, 1),
    ]


def test_a_chain_that_returns(tmp_path: Path) -> None:
    parts = {0: mbr((0x05, 2048, 20000)), 2048: mbr((0x83, 10, 100), (0x05, 0, 20000))}
    table = volumes(sparse(tmp_path / "disk", 16 * MIB, parts))
    assert places(table) == [(5, 2058 * 512, 51200)]
    assert "returns to sector 2048" in table.notes[0]


def test_a_chain_without_end(tmp_path: Path) -> None:
    parts = {0: mbr((0x05, 2048, 20000))}
    parts |= {2048 + n: mbr((0x83, 1, 1), (0x05, n + 1, 20000)) for n in range(200)}
    table = volumes(sparse(tmp_path / "disk", 16 * MIB, parts))
    assert len(table.volumes) == 128
    assert "more than 128" in table.notes[0]


def test_a_chain_that_leads_nowhere(tmp_path: Path) -> None:
    parts = {0: mbr((0x05, 2048, 20000)), 2048: mbr((0x83, 10, 100), (0x05, 1 << 30, 20000))}
    table = volumes(sparse(tmp_path / "disk", 16 * MIB, parts))
    assert [number for number, *_ in places(table)] == [5]
    assert "the chain ends there" in table.notes[0]


def test_partitions_beyond_the_disk(tmp_path: Path) -> None:
    parts = {0: mbr((0x83, 2048, 2048), (0x83, 30000, 100000), (0x83, 1 << 31, 100))}
    table = volumes(sparse(tmp_path / "disk", 16 * MIB, parts))
    assert places(table) == [(1, MIB, MIB), (2, 30000 * 512, 16 * MIB - 30000 * 512)]
    assert ["beyond the disk's end" in table.notes[0], "not on the disk" in table.notes[1]] == [True, True]


def test_overlapping_partitions_are_taken_as_they_are(tmp_path: Path) -> None:
    table = volumes(sparse(tmp_path / "disk", 16 * MIB, {0: mbr((0x83, 2048, 8192), (0x83, 4096, 8192))}))
    assert (len(table.volumes), table.notes) == (2, ())


# Damaged GUID partition tables.


@pytest.fixture(params=[512, 4096])
def gpt_disk(request: pytest.FixtureRequest, tmp_path: Path, ext4: Path) -> tuple[Path, int]:
    sector = request.param
    script = f"label: gpt\nstart={2 * MIB // sector}, size={8 * MIB // sector}\nsize={8 * MIB // sector}\n"
    path = partitioned(tmp_path / "disk", script, sector=sector)
    copy_in(path, 2 * MIB, ext4)
    return path, sector


def overwrite(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset, os.SEEK_SET if offset >= 0 else os.SEEK_END)
        file.write(data)


@pytest.mark.parametrize("damage", ["header", "erased header", "entries"])
def test_a_damaged_primary_table(gpt_disk: tuple[Path, int], damage: str) -> None:
    path, sector = gpt_disk
    good = volumes(path)
    match damage:
        case "header":
            overwrite(path, sector + 72, b"\xff")
        case "erased header":
            overwrite(path, sector, bytes(sector))
        case "entries":
            overwrite(path, 2 * sector + 32, b"\xff")
    table = volumes(path)
    assert table.volumes == good.volumes
    assert "at its end was used" in table.notes[0]


def test_a_damaged_primary_table_of_a_disk_made_larger(gpt_disk: tuple[Path, int]) -> None:
    path, sector = gpt_disk
    good = volumes(path)
    os.truncate(path, 96 * MIB)
    assert volumes(path) == good
    overwrite(path, 2 * sector + 32, b"\xff")
    assert volumes(path).volumes == good.volumes


def test_both_tables_damaged(gpt_disk: tuple[Path, int]) -> None:
    path, sector = gpt_disk
    overwrite(path, sector, bytes(sector))
    overwrite(path, -sector, bytes(sector))
    table = volumes(path)
    assert (table.scheme, places(table)) == (Scheme.NONE, [(0, 0, 64 * MIB)])
    assert "both of its copies are damaged" in table.notes[0]


def test_a_damaged_backup_table_does_not_matter(gpt_disk: tuple[Path, int]) -> None:
    path, sector = gpt_disk
    good = volumes(path)
    overwrite(path, -sector, bytes(sector))
    assert volumes(path) == good


def test_no_protective_mbr(gpt_disk: tuple[Path, int]) -> None:
    path, _ = gpt_disk
    good = volumes(path)
    overwrite(path, 0, bytes(512))
    assert volumes(path) == replace(good, notes=("the GUID partition table has no protective MBR before it",))


def test_a_hybrid_mbr_leaves_the_gpt_in_charge(gpt_disk: tuple[Path, int]) -> None:
    path, _ = gpt_disk
    good = volumes(path)
    overwrite(path, 0, mbr((0xEE, 1, 2047), (0x83, 4096, 1024)))
    assert volumes(path) == good


def test_an_mbr_over_an_old_gpt(gpt_disk: tuple[Path, int]) -> None:
    path, _ = gpt_disk
    overwrite(path, 0, mbr((0x83, 4096, 16384)))
    table = volumes(path)
    assert (table.scheme, places(table)) == (Scheme.MBR, [(1, 2 * MIB, 8 * MIB)])
    assert "old GUID partition table" in table.notes[0]


def header_with(path: Path, sector: int, **changes: int) -> None:
    """Rewrite fields of the primary header and make its checksum right again."""
    fields = {"first": (72, "<Q"), "count": (80, "<I"), "size": (84, "<I")}
    with path.open("r+b") as file:
        file.seek(sector)
        head = bytearray(file.read(92))
        for name, value in changes.items():
            offset, form = fields[name]
            struct.pack_into(form, head, offset, value)
        head[16:20] = bytes(4)
        struct.pack_into("<I", head, 16, zlib.crc32(head))
        file.seek(sector)
        file.write(head)


@pytest.mark.parametrize(
    "changes", [{"first": 1 << 60}, {"count": 1 << 31}, {"size": 0}, {"size": 1 << 31}, {"count": 0}]
)
def test_headers_that_lie_with_the_right_checksum(
    gpt_disk: tuple[Path, int], changes: dict[str, int]
) -> None:
    path, sector = gpt_disk
    good = volumes(path)
    header_with(path, sector, **changes)
    assert volumes(path).volumes == good.volumes


def test_entries_that_lie(tmp_path: Path) -> None:
    entries = [
        (uuid.UUID(LINUX).bytes_le + bytes(16) + struct.pack("<QQ", first, last)).ljust(128, b"\0")
        for first, last in (
            (2048, 4095),
            (5000, 4000),
            (1 << 62, (1 << 62) + 9),
            (4096, (1 << 64) - 1),
            (0, 99),
        )
    ]
    table = b"".join(entries).ljust(16384, b"\0")
    places_and_table = (1, 0, 34, 0, bytes(16), 2, 128, 128, zlib.crc32(table))
    head = struct.pack("<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, 0, 0, *places_and_table)
    head = head[:16] + struct.pack("<I", zlib.crc32(head)) + head[20:]
    path = sparse(tmp_path / "disk", 16 * MIB, {0: mbr((0xEE, 1, 32767)), 1: head, 2: table})
    found = volumes(path)
    assert places(found) == [(1, MIB, MIB), (4, 2 * MIB, 14 * MIB), (5, 0, 100 * 512)]
    assert len(found.notes) == 3


# Disks without a table.


FORMATS = {
    "ext4": ["mkfs.ext4", "-q", "-F"],
    "xfs": ["mkfs.xfs", "-q", "-f"],
    "vfat": ["mkfs.vfat", "-I", "-F", "16"],
    "ntfs": ["mkntfs", "-q", "-F", "-Q"],
}


@pytest.mark.parametrize("type", FORMATS)
def test_a_file_system_on_the_whole_disk(tmp_path: Path, type: str) -> None:
    if shutil.which(FORMATS[type][0]) is None:
        pytest.skip(f"{FORMATS[type][0]} is not installed")
    path = tmp_path / "disk"
    path.touch()
    os.truncate(path, 320 * MIB)
    subprocess.run([*FORMATS[type], str(path)], check=True, capture_output=True)
    table = volumes(path)
    assert (table.scheme, table.notes) == (Scheme.NONE, ())
    assert (places(table), table.volumes[0].content.type) == ([(0, 0, 320 * MIB)], type)


def test_a_boot_loader_before_a_whole_disk_file_system_is_no_table(ext4: Path) -> None:
    overwrite(ext4, 0, bytes(range(256)) + bytes(190) + bytes(64) + b"\x55\xaa")
    assert volumes(ext4).volumes[0].content.type == "ext4"
    overwrite(ext4, 446, b"boot loader code")
    assert volumes(ext4).scheme is Scheme.NONE


def test_an_old_table_before_a_whole_disk_file_system(ext4: Path) -> None:
    overwrite(ext4, 0, mbr((0x83, 4000, 2000)))
    table = volumes(ext4)
    assert (table.scheme, table.volumes[0].content.label) == (Scheme.NONE, "root")
    assert "the whole disk is ext4" in table.notes[0]


@pytest.mark.parametrize("size", [1, 511, 512, 1023, 4097, 65536])
def test_disks_too_small_for_anything(tmp_path: Path, size: int) -> None:
    path = tmp_path / "disk"
    path.write_bytes(mbr((0xEE, 1, 100))[:size].ljust(size, b"\0"))
    table = volumes(path)
    assert places(table) == [(0, 0, size)]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    tables=st.lists(
        st.tuples(
            st.integers(0, 4000),
            st.lists(
                st.tuples(
                    st.sampled_from([0, 0x05, 0x0F, 0x83, 0xEE]),
                    st.one_of(st.integers(0, 5000), st.integers(0, 2**32 - 1)),
                    st.one_of(st.integers(0, 5000), st.integers(0, 2**32 - 1)),
                ),
                max_size=4,
            ),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_any_tables_end_in_volumes_on_the_disk(
    tmp_path: Path, tables: list[tuple[int, list[tuple[int, int, int]]]]
) -> None:
    parts = {sector: mbr(*entries) for sector, entries in tables} | {0: mbr(*tables[0][1])}
    path = sparse(tmp_path / "disk", 2 * MIB, parts)
    table = volumes(path)
    assert table.volumes
    for volume in table.volumes:
        assert 0 <= volume.start < volume.start + volume.size <= 2 * MIB


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("bsd", "the disk has a partition table of BSD, which is not read"),
        ("dos+bsd", "partition 2 has a table of FreeBSD of its own, which is not read"),
    ],
)
def test_known_tables_of_others(cases: Path, tmp_path: Path, name: str, says: str) -> None:
    source = cases / f"BLK-01/tests/ts/blkid/images-pt/{name}.img.xz"
    path = tmp_path / "disk"
    path.write_bytes(lzma.decompress(source.read_bytes()))
    table = volumes(path)
    assert says in table.notes, (table.notes, places(table))


@pytest.mark.parametrize("sector", [512, 4096])
@pytest.mark.parametrize("size", [64 * MIB, 64 * MIB + 512])
def test_the_size_of_a_sector_is_told_by_where_the_header_lies(
    tmp_path: Path, sector: int, size: int
) -> None:
    """C09 and C10: an image of a disk of the other kind of sectors, whatever its size says."""
    path = partitioned(tmp_path / "disk", "label: gpt\nsize=8MiB\nsize=16MiB\n", sector=sector)
    os.truncate(path, size)
    assert places(volumes(path)) == by_fdisk(path, sector)
