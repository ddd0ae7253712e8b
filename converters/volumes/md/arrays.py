"""Arrays of md put together from their members: which bytes of which disk are an array's.

In process: RAID 1, linear, RAID 0 of members of one size, RAID 10 in the near layout with whole rows. Which
member's data count is decided as Linux does when it assembles an array (``md_run`` and the personalities'
``run``): the newest superblock says who has a place; who missed updates is left out; of copies the first in
sync is read, as md does until a resync has made them equal. RAID 4, 5 and 6, the other layouts, and arrays in
the middle of a change are left to an engine with a kernel.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from converters.disks.base import Disk
from converters.disks.mapped import Segment, Stripe
from converters.errors import DiskError, UnsupportedError
from converters.volumes.base import Left, Volume
from converters.volumes.md import superblock
from converters.volumes.md.superblock import NO_ROLE, Superblock

MEMBER = "linux_raid_member"
_NEAR_COPIES, _OTHER_LAYOUT = 0xFF, 0x1FF00
"""Fields of RAID 10's layout: ``raid10.c``, setup_geo."""
_SINGLE_FAR_COPY = 1 << 8


@dataclass(frozen=True, slots=True)
class MdArray:
    """An array, and where it lies."""

    name: str
    """Path of its device: ``/dev/md/NAME``, or ``/dev/mdN`` where the metadata keep a number."""
    uuid: str
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class Arrays:
    """What became of the members."""

    arrays: tuple[MdArray, ...]
    left: tuple[Left, ...]
    names: Mapping[str, str]
    """Of all arrays, read or left, by their UUIDs."""
    notes: tuple[str, ...]
    """What a person should know, each a sentence without its full stop."""


@dataclass(frozen=True, slots=True)
class _Member:
    volume: Volume
    block: Superblock


def find_arrays(disks: Sequence[Disk], volumes: Iterable[Volume]) -> Arrays:
    """The arrays on a guest's volumes. What is damaged is noted and left to another engine."""
    sets: defaultdict[str, list[_Member]] = defaultdict(list)
    left: list[Left] = []
    notes: list[str] = []
    for volume in volumes:
        if volume.content.type == MEMBER:
            try:
                block = superblock.read(disks[volume.disk], volume)
                sets[block.uuid].append(_Member(volume, block))
            except DiskError as error:
                left.append(Left("", f"disk {volume.disk} partition {volume.number}: {error.message}"))
    arrays = []
    for uuid, members in sets.items():
        name = _name(members[0].block)
        try:
            segments = tuple(_segments(members, notes))
        except UnsupportedError as error:
            left.append(Left(name, error.message))
        else:
            arrays.append(MdArray(name, uuid, segments))
    names = {uuid: _name(members[0].block) for uuid, members in sets.items()}
    return Arrays(tuple(arrays), tuple(left), names, tuple(notes))


def _name(block: Superblock) -> str:
    if block.minor is not None:
        return f"/dev/md{block.minor}"
    if block.name.isdigit():
        return f"/dev/md{block.name}"
    return f"/dev/md/{block.name or block.uuid}"


def _segments(members: Sequence[_Member], notes: list[str]) -> list[Segment]:
    """Where the data of one array lie.

    Raises:
        UnsupportedError: not exact in process.
    """
    newest = max(members, key=lambda member: member.block.events).block
    current = _current(members, newest, notes)
    match newest.level:
        case 1:
            return [_mirrored(newest, current)]
        case 0:
            return [_striped(newest, current)]
        case -1:
            return _chained(newest, current)
        case 10:
            return [_mirrored_stripes(newest, current)]
        case level:
            raise UnsupportedError(f"RAID of level {level} is not read in process")


def _current(members: Sequence[_Member], newest: Superblock, notes: list[str]) -> Mapping[int, _Member]:
    """The members whose data count, by their place in the array."""
    current: dict[int, _Member] = {}
    for member in members:
        block, where = member.block, f"disk {member.volume.disk} partition {member.volume.number}"
        if "reshaped" in block.obstacle or "journal" in block.obstacle:
            raise UnsupportedError(block.obstacle)
        role = newest.roles[block.number] if block.number < len(newest.roles) else NO_ROLE
        own = block.roles[block.number] if block.number < len(block.roles) else NO_ROLE
        if own == NO_ROLE and role == NO_ROLE:
            continue  # a spare
        # md.c takes a member that is one update behind: a crash may come between two writes of superblocks.
        if role == NO_ROLE or block.events + 1 < newest.events:
            notes.append(f"{_name(newest)}: its member {where} is out of date and left out")
            continue
        if block.obstacle:
            notes.append(f"{_name(newest)}: its member {where} is left out: {block.obstacle}")
            continue
        if role in current:
            raise UnsupportedError("a member is there twice: one disk is another's copy")
        if block.data_size < newest.size or block.start + newest.size > member.volume.size:
            raise UnsupportedError("a member is smaller than the array needs")
        current[role] = member
    return current


def _at(member: _Member) -> Stripe:
    return Stripe(member.volume.disk, member.volume.start + member.block.start)


def _mirrored(newest: Superblock, current: Mapping[int, _Member]) -> Segment:
    if not current or not newest.size:
        raise UnsupportedError("none of its members is in sync")
    return Segment(newest.size, (_at(current[min(current)]),), newest.size)


def _all(newest: Superblock, current: Mapping[int, _Member]) -> list[_Member]:
    if sorted(current) != list(range(newest.places)) or not current:
        raise UnsupportedError(f"{len(current)} of its {newest.places} members are there")
    return [current[place] for place in range(newest.places)]


def _usable(member: _Member, chunk: int) -> int:
    """Bytes of a member's data, in whole chunks."""
    size = min(member.block.data_size, member.volume.size - member.block.start)
    return size - size % chunk if chunk else size


def _striped(newest: Superblock, current: Mapping[int, _Member]) -> Segment:
    members = _all(newest, current)
    if not newest.chunk:
        raise UnsupportedError("it has chunks of no size")
    sizes = {_usable(member, newest.chunk) for member in members}
    if len(sizes) > 1:
        raise UnsupportedError("RAID 0 of members of different sizes is not read in process")
    (size,) = sizes
    if size <= 0:
        raise UnsupportedError("it has no size")
    return Segment(size * len(members), tuple(map(_at, members)), newest.chunk)


def _chained(newest: Superblock, current: Mapping[int, _Member]) -> list[Segment]:
    segments = []
    for member in _all(newest, current):
        size = _usable(member, newest.chunk)
        if size <= 0:
            raise UnsupportedError("a member has no size")
        segments.append(Segment(size, (_at(member),), size))
    return segments


def _mirrored_stripes(newest: Superblock, current: Mapping[int, _Member]) -> Segment:
    near = newest.layout & _NEAR_COPIES
    if newest.layout & _OTHER_LAYOUT != _SINGLE_FAR_COPY or not near:
        raise UnsupportedError("RAID 10 in a far or offset layout is not read in process")
    if newest.places % near or not newest.chunk:
        raise UnsupportedError(
            f"RAID 10 of {newest.places} members with {near} copies is not read in process"
        )
    stripes = []
    for first in range(0, newest.places, near):
        copies = [current[place] for place in range(first, first + near) if place in current]
        if not copies:
            raise UnsupportedError("all members with one part of its data are away or not in sync")
        stripes.append(_at(copies[0]))
    size = newest.size - newest.size % newest.chunk
    if size <= 0:
        raise UnsupportedError("it has no size")
    return Segment(size * len(stripes), tuple(stripes), newest.chunk)
