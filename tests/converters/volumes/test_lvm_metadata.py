"""What LVM's text may say: groups of one name, parts away, lies: told in words and in bounded time."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.volumes import Content, Volume
from converters.volumes.lvm import MEMBER, Assembled, label, logical_volumes
from converters.volumes.lvm.label import PhysicalVolume
from tests.converters.volumes.memory import MemoryDisk

MIB = 1 << 20
EXTENT = 8192
"""Sectors: 4 MiB."""


def group(name: str, identity: str, volumes: str, physical: str = "one", flags: str = "") -> str:
    """A group with one physical volume."""
    return f"""{name} {{
id = "{identity}"
seqno = 3
extent_size = {EXTENT}
physical_volumes {{
pv0 {{ id = "{physical}" device = "/dev/sda" pe_start = 2048 pe_count = 8 flags = [{flags}] }}
}}
logical_volumes {{
{volumes}
}}
}}"""


def volume(name: str, *segments: str, status: str = '"READ", "WRITE", "VISIBLE"') -> str:
    parts = "\n".join(f"segment{number} {{ {words} }}" for number, words in enumerate(segments, 1))
    return f"{name} {{ status = [{status}] flags = [] segment_count = {len(segments)}\n{parts}\n}}"


def linear(area: str, start: int = 0, count: int = 2, first: int = 0) -> str:
    return (
        f'start_extent = {start} extent_count = {count} type = "striped" stripe_count = 1 '
        f'stripes = ["{area}", {first}]'
    )


def assembled(*members: tuple[str, Sequence[str]]) -> Assembled:
    """What is made of physical volumes, given by their UUIDs and texts, on disks of 40 MiB."""
    volumes = [Volume(index, 0, 40 * MIB, 0, Content(MEMBER)) for index in range(len(members))]
    found = {
        place: PhysicalVolume(uuid, place, tuple(texts))
        for place, (uuid, texts) in zip(volumes, members, strict=True)
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(label, "read", lambda disk, place: found[place])
        return logical_volumes([MemoryDisk(b"")] * len(members), volumes)


def test_two_groups_of_one_name_are_both_read_and_told() -> None:
    texts = [
        group("vg", identity, volume("root", linear("pv0")), physical) for identity, physical in ("ax", "by")
    ]
    found = assembled(("x", [texts[0]]), ("y", [texts[1]]))
    assert [(item.name, item.segments[0].stripes[0].disk) for item in found.volumes] == [
        ("/dev/vg/root", 0),
        ("/dev/vg/root", 1),
    ]
    assert found.notes == ("2 volume groups are called vg",)


def test_the_newest_of_several_texts_counts() -> None:
    old = group("vg", "a", volume("root", linear("pv0", count=1))).replace("seqno = 3", "seqno = 2")
    new = group("vg", "a", volume("root", linear("pv0", count=2)))
    for texts in ([old, new], [new, old], ["damaged {", new]):
        assert [item.size for item in assembled(("one", texts)).volumes] == [8 * MIB]


def test_a_physical_volume_that_lvm_gave_up_is_not_read() -> None:
    found = assembled(("one", [group("vg", "a", volume("root", linear("pv0")), flags='"MISSING"')]))
    assert found.volumes == ()
    assert found.notes == (
        "the volume group vg lacks its physical volume one, once /dev/sda",
        "/dev/vg/root is not whole: a part of it is on a physical volume that is not here",
    )


def test_a_mirror_is_read_from_its_first_leg() -> None:
    mirror = 'start_extent = 0 extent_count = 2 type = "mirror" mirror_count = 2 mirrors = ["m0", 0, "m1", 0]'
    legs = [volume(f"m{leg}", linear("pv0", first=leg * 2), status='"READ"') for leg in (0, 1)]
    (found,) = assembled(("one", [group("vg", "a", "\n".join([volume("root", mirror), *legs]))])).volumes
    assert [stripe.offset for segment in found.segments for stripe in segment.stripes] == [MIB]


@pytest.mark.parametrize(
    ("volumes", "says"),
    [
        (volume("root", linear("root")), "volumes within volumes without end"),
        (volume("root", linear("a")) + volume("a", linear("root")), "volumes within volumes without end"),
        (volume("root", linear("pv0", first=1 << 60)), "name extents outside their volume"),
        (volume("root", linear("pv0", count=1 << 60)), "name extents outside their volume"),
        (volume("root", linear("pv0", first=-1)), "name extents outside their volume"),
        (volume("root", linear("pv0", start=5)), "contradict themselves"),
        (volume("root", linear("pv0", count=0)), "contradict themselves"),
        (
            volume("root", linear("pv0").replace("stripe_count = 1", "stripe_count = 3")),
            "contradict themselves",
        ),
        (volume("root"), "no segments, or too many"),
        (
            volume("root", 'start_extent = 0 extent_count = 1 type = "vdo"'),
            "type vdo are not read in process",
        ),
    ],
)
def test_lies_are_told(volumes: str, says: str) -> None:
    found = assembled(("one", [group("vg", "a", volumes)]))
    assert found.volumes == ()
    assert any(says in str(left) for left in found.left), found.left


def test_a_volume_of_many_pieces_of_volumes_of_many_pieces_ends() -> None:
    """Each is small; what they make up together would take hours to follow."""
    many = 20_000
    pieces = [linear("pv0", start=index, count=1, first=index % 8) for index in range(many)]
    others = [linear("a", start=index, count=1, first=index) for index in range(many)]
    found = assembled(("one", [group("vg", "a", volume("b", *others) + volume("a", *pieces))]))
    assert [left.reason for left in found.left] == ["it is made of too many pieces of others"]
    assert [len(item.segments) for item in found.volumes] == [many]


REAL = group(
    "vg-a",
    "a",
    volume("root", linear("pv0"), linear("pv0", start=2, first=4))
    + volume("pair", 'start_extent = 0 extent_count = 2 type = "raid1" raids = ["meta", "image"]')
    + volume("image", linear("pv0", first=2), status='"READ"')
    + volume("meta", linear("pv0", count=1, first=6), status='"READ"')
    + volume(
        "rows",
        'start_extent = 0 extent_count = 4 type = "raid0" stripe_count = 2 stripe_size = 128 '
        'raid0_lvs = ["image", "image"]',
    ),
)
_WORD = re.compile(r'-?\d+|"\w*"|[{}\[\],=]')


@settings(max_examples=150, deadline=None)
@given(
    changes=st.lists(
        st.tuples(
            st.integers(0, 10_000),
            st.sampled_from(
                ["0", "-1", "1", "7", str(1 << 40), str(1 << 70), '""', '"image"', "{", "}", "]", ""]
            ),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_any_text_ends_in_segments_on_the_disk_or_in_words(changes: list[tuple[int, str]]) -> None:
    text = REAL
    for place, word in changes:
        matches = list(_WORD.finditer(text))
        match = matches[place % len(matches)]
        text = text[: match.start()] + word + text[match.end() :]
    for item in assembled(("one", [text])).volumes:
        for segment in item.segments:
            assert segment.size > 0 and segment.unit > 0
            for stripe in segment.stripes:
                length = segment.size // len(segment.stripes)
                assert 0 <= stripe.offset <= stripe.offset + length <= 40 * MIB
