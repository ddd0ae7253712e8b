"""Volumes as files for user-mode Linux: where they lie in one piece, or copied where there is room."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from converters.disks import Disk
from converters.disks.mapped import MappedDisk, Segment, Stripe
from converters.disks.raw import Extent, ExtentDisk, RawDisk
from converters.filesystems.uml import NoRoomError
from converters.filesystems.uml.ranges import Range, Ranges, in_file, place_of
from converters.volumes.base import Content, Volume

MIB = 1 << 20


@pytest.fixture
def raw(tmp_path: Path) -> Iterator[RawDisk]:
    path = tmp_path / "disk.raw"
    path.write_bytes(b"".join(bytes([number]) * MIB for number in range(8)))
    with RawDisk(str(path)) as disk:
        yield disk


def logical(*disks: Disk) -> MappedDisk:
    """A volume of two segments and then of stripes."""
    segments = [
        Segment(2 * MIB, (Stripe(0, 3 * MIB),), 2 * MIB),
        Segment(MIB, (Stripe(0, MIB),), MIB),
        Segment(2 * MIB, (Stripe(0, 6 * MIB), Stripe(0, 7 * MIB)), 65536),
    ]
    return MappedDisk(disks, segments)


def test_what_lies_in_one_piece_stays_where_it_is(raw: RawDisk) -> None:
    split = ExtentDisk([Extent(None, 0, MIB), Extent(raw, MIB, 4 * MIB), Extent(raw, 0, MIB)])
    for disk, start, size, expected in (
        (raw, 5, 7, 5),
        (split, 2 * MIB, MIB, 2 * MIB),
        (split, 5 * MIB, MIB, 0),
        (logical(raw), 4096, MIB, 3 * MIB + 4096),
        (logical(raw), 2 * MIB, MIB, MIB),
        (MappedDisk([logical(raw)], [Segment(MIB, (Stripe(0, MIB),), MIB)]), 512, 512, 4 * MIB + 512),
    ):
        place = place_of(disk, start, size)
        assert place is not None and (place.file, place.start, place.size) == (raw, expected, size)


def test_what_does_not_has_no_place(raw: RawDisk) -> None:
    split = ExtentDisk([Extent(None, 0, MIB), Extent(raw, 0, MIB)])
    for disk, start, size in (
        (split, 0, 512),
        (split, MIB, 2 * MIB),
        (logical(raw), MIB, 2 * MIB),
        (logical(raw), 3 * MIB, 512),
    ):
        assert place_of(disk, start, size) is None


def test_a_copy_goes_with_its_owner(raw: RawDisk, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    volume = Volume(0, MIB, 2 * MIB, 2, Content("ext4", "", ""))
    with ExitStack() as stack:
        found = Ranges(scratch, stack).of([logical(raw)], volume)
        assert found == Range(scratch / f"volume-0-{MIB}.raw", MIB, 2 * MIB)
        copy = found.path.read_bytes()
        assert len(copy) == 5 * MIB
        assert copy[MIB : 3 * MIB] == b"\4" * MIB + b"\1" * MIB
        assert not any(copy[:MIB] + copy[3 * MIB :])
    assert not list(scratch.iterdir())


class Vast(Disk):
    """A disk of 1 EiB that tells no holes and must not be read."""

    size = 1 << 60

    def pread(self, length: int, offset: int) -> bytes:
        raise AssertionError("it was read")

    def close(self) -> None:
        """Nothing to release."""


def test_a_copy_that_scratch_cannot_hold_is_not_begun(tmp_path: Path) -> None:
    with (
        pytest.raises(NoRoomError, match=rf"takes up to {1 << 59} bytes, where .*{tmp_path} has \d+"),
        in_file(Vast(), 0, 1 << 59, tmp_path / "copy"),
    ):
        raise AssertionError("it was copied")
    assert not list(tmp_path.iterdir())
