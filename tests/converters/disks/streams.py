"""Writes stream-optimized VMDKs as an ESXi host sends them: tables after grains, a footer, an end marker.

Also knows where the parts lie, so that tests can cut and damage a stream at each of them.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

SECTOR = 512
GRAIN = 128
TABLE = 512
OVERHEAD = 128
_AT_END = (1 << 64) - 1


def header(capacity: int, directory: int = _AT_END, *, grain: int = GRAIN, version: int = 3) -> bytes:
    """The first sector; sizes in sectors."""
    sizes = (capacity, grain, 1, 20, TABLE, 0, directory, OVERHEAD)
    packed = struct.pack("<4sIIQQQQIQQQB4sH", b"KDMV", version, 0x30001, *sizes, 0, b"\n \r\n", 1)
    return packed.ljust(SECTOR, b"\0")


def descriptor(capacity: int) -> bytes:
    """The embedded text, padded to its 20 sectors."""
    text = (
        "# Disk DescriptorFile\nversion=1\nCID=7e5b80a7\nparentCID=ffffffff\n"
        f'createType="streamOptimized"\n\nRDONLY {capacity} SPARSE "disk.vmdk"\n'
    )
    return text.encode().ljust(20 * SECTOR, b"\0")


@dataclass
class StreamWriter:
    """Builds a stream part by part; ``boundaries`` are the offsets at which a part ends."""

    capacity: int
    """Sectors."""
    data: bytearray = field(default_factory=bytearray)
    boundaries: list[int] = field(default_factory=list)
    tables: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.put(header(self.capacity))
        self.put(descriptor(self.capacity).ljust((OVERHEAD - 1) * SECTOR, b"\0"))

    @property
    def sector(self) -> int:
        """Where the next part begins."""
        return len(self.data) // SECTOR

    def put(self, part: bytes) -> int:
        """Append a part, padded to a sector; gives the sector it begins at."""
        start = self.sector
        self.data += part.ljust(-(-len(part) // SECTOR) * SECTOR, b"\0")
        self.boundaries.append(len(self.data))
        return start

    def grain(self, number: int, content: bytes) -> int:
        """Append a grain; gives its sector."""
        packed = zlib.compress(content, 6)
        return self.put(struct.pack("<QI", number * GRAIN, len(packed)) + packed)

    def marker(self, kind: int, content: bytes) -> int:
        """Append a marker and what it announces; gives the sector of the latter."""
        self.put(struct.pack("<QII", -(-len(content) // SECTOR), 0, kind))
        return self.put(content) if content else 0

    def table(self, number: int, sectors: dict[int, int]) -> None:
        """Append the grain table ``number``; ``sectors`` are by grain."""
        entries = [sectors.get(number * TABLE + entry, 0) for entry in range(TABLE)]
        self.tables[number] = self.marker(1, struct.pack(f"<{TABLE}I", *entries))

    def end(self) -> bytes:
        """Append directory, footer and end marker."""
        count = -(-self.capacity // (GRAIN * TABLE))
        directory = self.marker(2, struct.pack(f"<{count}I", *(self.tables.get(n, 0) for n in range(count))))
        self.marker(3, header(self.capacity, directory))
        self.marker(0, b"")
        return bytes(self.data)


def write_stream(disk: bytes) -> StreamWriter:
    """A whole stream of ``disk``, grains of zeros left out."""
    writer = StreamWriter(-(-len(disk) // SECTOR))
    size = GRAIN * SECTOR
    count = -(-len(disk) // size)
    for table in range(-(-count // TABLE)):
        sectors = {}
        for number in range(table * TABLE, min((table + 1) * TABLE, count)):
            content = disk[number * size : (number + 1) * size].ljust(size, b"\0")
            if content.strip(b"\0"):
                sectors[number] = writer.grain(number, content)
        if sectors:
            writer.table(table, sectors)
    writer.end()
    return writer
