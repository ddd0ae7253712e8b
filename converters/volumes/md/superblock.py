"""The superblock of a member of an array of md: metadata 0.90, 1.0, 1.1 and 1.2 (``linux/raid/md_p.h``).

Checksums, and what makes a member's data count, are as in Linux's ``drivers/md/md.c``.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from converters.disks.base import Disk
from converters.errors import DiskError
from converters.volumes.base import Volume
from converters.volumes.window import format_uuid

_MAGIC = 0xA92B4EFC
_SECTOR = 512
_RESERVED = 64 << 10
_OLD_BYTES = 4096
_NEW_BYTES = 256
_MOST_DEVICES = 1920
"""Members and spares that a superblock of version 1 has room for: 4 KiB with 2 bytes for each."""
_ACTIVE = 0xFFFD
"""Roles from here on are no place in the array: spare, faulty, journal."""
NO_ROLE = 0xFFFF
_OLD_SYNC, _OLD_FAULTY = 0x6, 0x1
_OLD_RESHAPES = 91
"""Minor version of old metadata during a reshape."""

_ARRAY = struct.Struct("<III4x16s32s8xiIQII")
"""Magic, version, features, UUID, name, level, layout, size, chunk, members; from the start."""
_MEMBER = struct.Struct("<QQQQI")
"""Start and size of the data, place of the superblock, recovery offset, number; from byte 128."""
_STATE = struct.Struct("<Q8xII")
"""Events, checksum, number of roles; from byte 200."""
_RECOVERING, _RESHAPING, _BAD_BLOCKS, _REPLACEMENT = 0x2, 0x4, 0x8, 0x10
_JOURNAL, _CLUSTERED = 0x200, 0x100
_ALL_DONE = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Superblock:
    """What a member says of itself and its array; sizes and offsets in bytes."""

    version: str
    """``0.90``, ``1.0``, ``1.1``, ``1.2``."""
    uuid: str
    """Of the array."""
    name: str
    """Without the host before its colon; empty for 0.90."""
    minor: int | None
    """The number its device had; None where the metadata do not keep it."""
    level: int
    """-1 is linear."""
    layout: int
    chunk: int
    places: int
    """Members of the whole array, those away included."""
    size: int
    """Bytes that the array uses of each member; 0 for levels 0 and linear."""
    start: int
    """Where the data begin on the member."""
    data_size: int
    """Bytes of data on this member."""
    number: int
    """Of the member, an index into ``roles``."""
    roles: tuple[int, ...]
    """Place in the array of each member by its number, ``NO_ROLE`` for those that have none."""
    events: int
    """Updates of the metadata: who missed some is out of date."""
    obstacle: str = ""
    """Why the data of this member are not simply the array's: it is being rebuilt, the array reshaped…"""


def read(disk: Disk, volume: Volume) -> Superblock:
    """The superblock on ``volume`` of ``disk``.

    Raises:
        DiskError: there is none that its checksum confirms, or the disk cannot be read.
    """
    sectors = volume.size // _SECTOR
    for minor, offset in ((0, ((sectors - 16) & -8) * _SECTOR), (1, 0), (2, 4096)):
        if offset >= 0 and (found := _new(disk, volume, minor, offset)) is not None:
            return found
    old = (volume.size & -_RESERVED) - _RESERVED
    if old >= 0 and (oldest := _old(disk, volume, old)) is not None:
        return oldest
    raise DiskError("the superblock of a member of a RAID is damaged")


def _new(disk: Disk, volume: Volume, minor: int, offset: int) -> Superblock | None:
    head = disk.pread(_NEW_BYTES, volume.start + offset)
    if len(head) < _NEW_BYTES:
        return None
    magic, major, features, uuid, name, level, layout, size, chunk, places = _ARRAY.unpack_from(head)
    start, data_size, own, recovery, number = _MEMBER.unpack_from(head, 128)
    events, checksum, devices = _STATE.unpack_from(head, 200)
    if (magic, major) != (_MAGIC, 1) or own * _SECTOR != offset or devices > _MOST_DEVICES:
        return None
    whole = disk.pread(_NEW_BYTES + 2 * devices, volume.start + offset)
    if len(whole) < _NEW_BYTES + 2 * devices or _sum(whole[:216] + bytes(4) + whole[220:]) != checksum:
        return None
    roles = struct.unpack_from(f"<{devices}H", whole, _NEW_BYTES)
    obstacle = _obstacle(features, recovery)
    if not obstacle and features & _BAD_BLOCKS and _has_bad_blocks(disk, volume, offset, head):
        obstacle = "it has blocks that could not be read"
    text = name.partition(b"\0")[0].decode("utf-8", "backslashreplace")
    return Superblock(
        version=f"1.{minor}",
        uuid=format_uuid(uuid),
        name=text.partition(":")[2] or text,
        minor=None,
        level=level,
        layout=layout,
        chunk=chunk * _SECTOR,
        places=places,
        size=size * _SECTOR,
        start=start * _SECTOR,
        data_size=data_size * _SECTOR,
        number=number,
        roles=tuple(role if role <= _ACTIVE else NO_ROLE for role in roles),
        events=events,
        obstacle=obstacle,
    )


def _obstacle(features: int, recovery: int) -> str:
    if features & _RESHAPING:
        return "the array is being reshaped"
    if features & _RECOVERING and recovery != _ALL_DONE:
        return "it is being rebuilt"
    if features & _REPLACEMENT:
        return "it is about to replace another member"
    if features & (_JOURNAL | _CLUSTERED):
        return "the array has a write journal, or belongs to a cluster"
    return ""


def _has_bad_blocks(disk: Disk, volume: Volume, offset: int, head: bytes) -> bool:
    """Whether the log of bad blocks, a signed number of sectors behind the superblock, has an entry."""
    length, distance = struct.unpack_from("<Hi", head, 186)
    place = offset + distance * _SECTOR
    if not length:
        return False
    if not 0 <= place < volume.size:
        return True
    return int.from_bytes(disk.pread(8, volume.start + place), "little") not in (0, _ALL_DONE)


def _old(disk: Disk, volume: Volume, offset: int) -> Superblock | None:
    raw = disk.pread(_OLD_BYTES, volume.start + offset)
    if len(raw) < _OLD_BYTES:
        return None
    words = struct.unpack("<1024I", raw)
    if words[0] != _MAGIC or words[1] != 0 or words[2] not in (90, _OLD_RESHAPES):
        return None
    if _sum(raw[: 38 * 4] + bytes(4) + raw[39 * 4 :]) != words[38]:
        return None
    level = words[7] - (1 << 32) if words[7] >= 1 << 31 else words[7]
    disks = [words[128 + 32 * index : 128 + 32 * index + 5] for index in range(27)]
    roles = [
        raid_disk if state & _OLD_SYNC == _OLD_SYNC and not state & _OLD_FAULTY else NO_ROLE
        for _, _, _, raid_disk, state in disks
    ]
    return Superblock(
        version="0.90",
        uuid=format_uuid(struct.pack(">4I", words[5], *words[13:16])),
        name="",
        minor=words[11],
        level=level,
        layout=words[64],
        chunk=words[65],
        places=words[10],
        size=words[8] << 10 if level > 0 else 0,
        start=0,
        data_size=offset,
        number=words[992],
        roles=tuple(roles),
        events=words[40] << 32 | words[39],
        obstacle="the array is being reshaped" if words[2] == _OLD_RESHAPES else "",
    )


def _sum(data: bytes) -> int:
    """The sum of all 32-bit words, its carry added once (``calc_sb_1_csum`` of md.c)."""
    whole = len(data) & -4
    total: int = sum(struct.unpack(f"<{whole // 4}I", data[:whole])) + int.from_bytes(data[whole:], "little")
    return ((total & 0xFFFFFFFF) + (total >> 32)) & 0xFFFFFFFF
