"""Arrays of md that mdadm made are read as they were filled; those out of date, or lying, are not."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.disks.base import Disk
from converters.disks.raw import RawDisk
from converters.filesystems.ext import ExtFilesystem
from converters.volumes import Content, Volume, read_volumes
from converters.volumes.assembly import Assembly, assemble
from converters.volumes.md import MEMBER, find_arrays, superblock
from tests.converters.volumes import md_arrays
from tests.converters.volumes.builder import filled
from tests.converters.volumes.md_arrays import ARRAYS, LEFT, device, members
from tests.converters.volumes.memory import MemoryDisk


@pytest.fixture(scope="module")
def disks() -> Iterator[Sequence[Disk]]:
    with ExitStack() as stack:
        yield [stack.enter_context(RawDisk(str(path))) for path in sorted(md_arrays.disks().iterdir())]


@pytest.fixture(scope="module")
def volumes(disks: Sequence[Disk]) -> list[Volume]:
    return [volume for index, disk in enumerate(disks) for volume in read_volumes(disk, index).volumes]


def without(volumes: Sequence[Volume], *away: tuple[int, int]) -> list[Volume]:
    """``volumes`` but for the members ``away``: disk and partition."""
    return [volume for volume in volumes if (volume.disk, volume.number) not in away]


def content(assembly: Assembly, name: str, file: bytes = b"filled") -> bytes | None:
    (volume,) = (volume for volume in assembly.volumes if volume.name == device(name))
    with ExitStack() as stack:
        disk = assembly.disks[volume.disk]
        filesystem = stack.enter_context(ExtFilesystem(disk, volume.start, volume.size))
        entry = filesystem.lookup(file)
        return None if entry is None else b"".join(filesystem.read(entry))


def test_each_array_is_whole(disks: Sequence[Disk], volumes: list[Volume]) -> None:
    found = assemble(disks, volumes)
    assert {volume.name for volume in found.volumes} == {device(name) for name in ARRAYS if name not in LEFT}
    assert {left.name for left in found.left} == {device(name) for name in LEFT}
    for name in ARRAYS.keys() - LEFT:
        assert content(found, name) == filled(name), name


def test_a_member_out_of_date_is_left_out_and_told(disks: Sequence[Disk], volumes: list[Volume]) -> None:
    found = assemble(disks, volumes)
    assert content(found, "stale", b"news") == b"news\n"
    (disk, part), _ = members("stale")
    assert found.notes == (
        f"/dev/md/stale: its member disk {disk} partition {part} is out of date and left out.",
    )


def test_a_member_out_of_date_alone(disks: Sequence[Disk], volumes: list[Volume]) -> None:
    """What it says of itself is all there is: as after it was put into another machine."""
    found = assemble(disks, without(volumes, members("stale")[1]))
    assert content(found, "stale", b"news") is None
    assert content(found, "stale") == filled("stale")


@pytest.mark.parametrize("name", ["old", "end", "start", "usual"])
@pytest.mark.parametrize("away", [0, 1])
def test_one_of_two_mirrors_is_enough(
    disks: Sequence[Disk], volumes: list[Volume], name: str, away: int
) -> None:
    found = assemble(disks, without(volumes, members(name)[away]))
    assert content(found, name) == filled(name)


def test_half_of_a_raid_10_is_enough(disks: Sequence[Disk], volumes: list[Volume]) -> None:
    first, second, third, _ = members("ten")
    assert content(assemble(disks, without(volumes, first, third)), "ten") == filled("ten")
    (left,) = (
        left for left in assemble(disks, without(volumes, first, second)).left if left.name == device("ten")
    )
    assert left.reason == "all members with one part of its data are away or not in sync"


@pytest.mark.parametrize("name", ["stripes", "chain"])
def test_stripes_with_a_member_away_are_left(disks: Sequence[Disk], volumes: list[Volume], name: str) -> None:
    found = assemble(disks, without(volumes, members(name)[1]))
    (left,) = (left for left in found.left if left.name == device(name))
    assert left.reason == f"{ARRAYS[name].members - 1} of its {ARRAYS[name].members} members are there"


def test_a_copy_of_a_member_is_refused(disks: Sequence[Disk], volumes: list[Volume]) -> None:
    (disk, part), _ = members("usual")
    (one,) = (volume for volume in volumes if (volume.disk, volume.number) == (disk, part))
    found = find_arrays(disks, [*volumes, one])
    (left,) = (left for left in found.left if left.name == device("usual"))
    assert left.reason == "a member is there twice: one disk is another's copy"


def member(disks: Sequence[Disk], volumes: Sequence[Volume], name: str) -> bytes:
    """The first member of an array, up to where its data begin and where its superblock may be."""
    (place, *_) = members(name)
    (volume,) = (volume for volume in volumes if (volume.disk, volume.number) == place)
    return disks[volume.disk].pread(volume.size, volume.start)


def resealed(data: bytearray, offset: int) -> None:
    """Make the checksum of a superblock of version 1 right again."""
    data[offset + 216 : offset + 220] = bytes(4)
    devices = int.from_bytes(data[offset + 220 : offset + 224], "little")
    raw = bytes(data[offset : offset + 256 + 2 * devices])
    total = sum(struct.unpack(f"<{len(raw) // 4}I", raw[: len(raw) & -4]))
    total += int.from_bytes(raw[len(raw) & -4 :], "little")
    struct.pack_into("<I", data, offset + 216, ((total & 0xFFFFFFFF) + (total >> 32)) & 0xFFFFFFFF)


@pytest.mark.parametrize(
    ("offset", "layout", "value", "reason"),
    [
        (8, "<I", 0x4, "the array is being reshaped"),
        (8, "<I", 0x200, "the array has a write journal, or belongs to a cluster"),
        (80, "<Q", 1 << 60, "a member is smaller than the array needs"),
        (80, "<Q", 0, "none of its members is in sync"),
        (160, "<I", 77, "none of its members is in sync"),
        (72, "<i", 5, "RAID of level 5 is not read in process"),
        (72, "<i", 77, "RAID of level 77 is not read in process"),
    ],
)
def test_superblocks_that_say_otherwise(
    disks: Sequence[Disk], volumes: list[Volume], offset: int, layout: str, value: int, reason: str
) -> None:
    data = bytearray(member(disks, volumes, "single"))
    struct.pack_into(layout, data, 4096 + offset, value)
    resealed(data, 4096)
    found = find_arrays([MemoryDisk(data)], [Volume(0, 0, len(data), 0, Content(MEMBER))])
    assert [left.reason for left in found.left] == [reason]
    assert not found.arrays


def test_a_rebuilding_member_is_not_read(disks: Sequence[Disk], volumes: list[Volume]) -> None:
    data = bytearray(member(disks, volumes, "single"))
    struct.pack_into("<I", data, 4096 + 8, 0x2)
    struct.pack_into("<Q", data, 4096 + 152, 1000)
    resealed(data, 4096)
    found = find_arrays([MemoryDisk(data)], [Volume(0, 0, len(data), 0, Content(MEMBER))])
    assert [left.reason for left in found.left] == ["none of its members is in sync"]
    assert "it is being rebuilt" in found.notes[0]


@pytest.fixture(scope="module")
def heads(disks: Sequence[Disk], volumes: list[Volume]) -> dict[str, bytes]:
    return {name: member(disks, volumes, name) for name in ("single", "old")}


@settings(max_examples=25, deadline=None)
@given(
    name=st.sampled_from(["single", "old"]),
    changes=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), min_size=1, max_size=6),
    sealed=st.booleans(),
)
def test_any_superblock_ends_in_segments_on_the_member_or_in_words(
    heads: dict[str, bytes], name: str, changes: list[tuple[int, int]], sealed: bool
) -> None:
    data = bytearray(heads[name])
    place = 4096 if name == "single" else (len(data) & -65536) - 65536
    for offset, value in changes:
        data[place + offset] = value
    if sealed and name == "single" and int.from_bytes(data[place + 220 : place + 224], "little") < 1920:
        resealed(data, place)
    found = find_arrays([MemoryDisk(data)], [Volume(0, 0, len(data), 0, Content(MEMBER))])
    for array in found.arrays:
        for segment in array.segments:
            assert segment.unit > 0
            (stripe,) = segment.stripes
            assert 0 <= stripe.offset <= stripe.offset + segment.size <= len(data)
    assert found.arrays or found.left


def test_what_is_no_superblock(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(bytes(1 << 20))
    with RawDisk(str(path)) as disk, pytest.raises(Exception, match="is damaged"):
        superblock.read(disk, Volume(0, 0, disk.size, 0, Content(MEMBER)))
