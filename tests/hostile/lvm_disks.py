"""Physical volumes of LVM with any metadata at all, their checksums right (``lib/format_text/layout.h``)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

_SECTOR = 512
_AREA, _AREA_SIZE = 4096, (4 << 20) - 4096
_SIZE = 32 << 20
_UUID = "P" * 32


def striped(*names: str) -> str:
    """A segment's body: stripes over these volumes."""
    stripes = ", ".join(f'"{name}", 0' for name in names)
    size = "stripe_size = 128\n" if len(names) > 1 else ""
    return f'type = "striped"\nstripe_count = {len(names)}\n{size}stripes = [ {stripes} ]'


def mirror(*names: str) -> str:
    """A segment's body: a mirror of these volumes."""
    legs = ", ".join(f'"{name}", 0' for name in names)
    return f'type = "mirror"\nmirror_count = {len(names)}\nregion_size = 1024\nmirrors = [ {legs} ]'


def make(path: Path, volumes: Mapping[str, list[str]]) -> Path:
    """A whole disk in a group of its own; ``volumes`` gives the bodies of each logical volume's segments."""
    metadata = _metadata(volumes).encode() + b"\0"
    where = struct.pack("<QQII", _SECTOR, len(metadata), _checksum(metadata), 0) + bytes(24)
    area = struct.pack("<16sIQQ", b" LVM2 x[5A%r0N*>", 1, _AREA, _AREA_SIZE) + where
    area = area.ljust(_SECTOR - 4, b"\0")
    header = struct.pack("<32sQ", _UUID.encode(), _SIZE)
    header += struct.pack("<QQQQ", 4 << 20, 0, 0, 0) + struct.pack("<QQQQ", _AREA, _AREA_SIZE, 0, 0)
    label = struct.pack("<I8s", 32, b"LVM2 001") + header
    label = label.ljust(_SECTOR - 20, b"\0")
    with open(path, "xb") as file:
        file.truncate(_SIZE)
        file.seek(_SECTOR)
        file.write(struct.pack("<8sQI", b"LABELONE", 1, _checksum(label)) + label)
        file.seek(_AREA)
        file.write(struct.pack("<I", _checksum(area)) + area + metadata)
    return path


def _metadata(volumes: Mapping[str, list[str]]) -> str:
    bodies = "\n".join(_volume(name, segments) for name, segments in volumes.items())
    return f"""hostile {{
id = "{"G" * 32}"
seqno = 1
format = "lvm2"
status = ["RESIZEABLE", "READ", "WRITE"]
extent_size = 8192
max_lv = 0
physical_volumes {{
pv0 {{
id = "{_UUID}"
status = ["ALLOCATABLE"]
pe_start = 8192
pe_count = 7
}}
}}
logical_volumes {{
{bodies}
}}
}}
"""


def _volume(name: str, segments: list[str]) -> str:
    text = "\n".join(
        f"segment{number} {{\nstart_extent = {number - 1}\nextent_count = 1\n{body}\n}}"
        for number, body in enumerate(segments, start=1)
    )
    status = 'status = ["READ", "WRITE", "VISIBLE"]'
    return f'{name} {{\nid = "{name}"\n{status}\nsegment_count = {len(segments)}\n{text}\n}}'


def _checksum(data: bytes) -> int:
    return zlib.crc32(data, 0xF597A6CF ^ 0xFFFFFFFF) ^ 0xFFFFFFFF
