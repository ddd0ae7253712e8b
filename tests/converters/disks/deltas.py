"""Writes images that no tool here writes: ESX deltas and differencing VHD, VDI and VHDX."""

from __future__ import annotations

import struct
import uuid
from pathlib import Path

from converters.disks.vhdx_header import _CRC

SECTOR = 512
MIB = 1 << 20

Changes = dict[int, bytes]
"""New content by place, both whole sectors, in bytes."""


def changed(base: bytes, changes: Changes) -> bytes:
    """What a disk reads as after ``changes``."""
    data = bytearray(base)
    for place, content in changes.items():
        data[place : place + len(content)] = content
    return bytes(data)


def _sectors(changes: Changes) -> dict[int, bytes]:
    return {
        (place + within) // SECTOR: content[within : within + SECTOR]
        for place, content in changes.items()
        for within in range(0, len(content), SECTOR)
    }


def descriptor(extents: str, *, cid: str = "11111111", parent: tuple[str, str] | None = None) -> str:
    """The text of a VMDK; ``parent`` is its CID and the name."""
    lines = ["# Disk DescriptorFile", "version=1", f"CID={cid}"]
    lines.append(f"parentCID={parent[0] if parent else 'ffffffff'}")
    lines.append('createType="custom"')
    if parent:
        lines.append(f'parentFileNameHint="{parent[1]}"')
    return "\n".join([*lines, extents, ""])


def cowd(capacity: int, changes: Changes) -> bytes:
    """A COWD extent of an ESX snapshot, grains of one sector; ``capacity`` in bytes."""
    sectors, tables = capacity // SECTOR, -(-capacity // (SECTOR * 4096))
    directory_sectors = -(-tables * 4 // SECTOR)
    entries: dict[int, int] = {}
    table_data: dict[int, list[int]] = {}
    grains = bytearray()
    first = 4 + directory_sectors
    numbers = sorted({sector // 4096 for sector in _sectors(changes)})
    for index, number in enumerate(numbers):
        entries[number] = first + index * 32
        table_data[number] = [0] * 4096
    place = first + len(numbers) * 32
    for sector, content in sorted(_sectors(changes).items()):
        table_data[sector // 4096][sector % 4096] = place + len(grains) // SECTOR
        grains += content
    head = struct.pack("<4sIIIIIII", b"COWD", 1, 3, sectors, 1, 4, tables, place)
    directory = struct.pack(f"<{tables}I", *(entries.get(number, 0) for number in range(tables)))
    body = b"".join(struct.pack("<4096I", *table_data[number]) for number in numbers)
    return (
        head.ljust(4 * SECTOR, b"\0")
        + directory.ljust(directory_sectors * SECTOR, b"\0")
        + body
        + bytes(grains)
    )


def se_sparse(capacity: int, changes: Changes, zeroed: tuple[int, ...] = ()) -> bytes:
    """An seSparse extent; changes in whole grains of 4 KiB; ``zeroed`` are places of grains of zeros."""
    tables = -(-capacity // (4096 * 4096))
    directory, table, grains = 8, 16, 16 + tables * 64
    fields = [0xCAFEBABE, 0x200000001, capacity // SECTOR, 8, 64, 0, 0, 0, 0, 0, 1, 1, 2, 1, 3, 1]
    fields += [directory, 8, table, tables * 64, 4, 1, 5, 1, grains, 0]
    volatile = struct.pack("<QQQQ", 0xCAFECAFE, 0, 0, 0)
    rows = [[0] * 4096 for _ in range(tables)]
    data = bytearray()
    for place, content in changes.items():
        for within in range(0, len(content), 4096):
            number, grain = len(data) // 4096, (place + within) // 4096
            entry = 3 << 60 | (number & 0xFFF) << 48 | number >> 12
            rows[grain // 4096][grain % 4096] = entry
            data += content[within : within + 4096]
    for place in zeroed:
        rows[place // 4096 // 4096][place // 4096 % 4096] = 2 << 60
    head = struct.pack("<26Q", *fields).ljust(SECTOR, b"\0") + volatile.ljust(SECTOR, b"\0")
    entries = struct.pack(f"<{tables}Q", *(1 << 60 | number for number in range(tables)))
    area = head.ljust(directory * SECTOR, b"\0") + entries.ljust(8 * SECTOR, b"\0")
    return area + b"".join(struct.pack("<4096Q", *row) for row in rows) + bytes(data)


def _summed(data: bytes, place: int) -> bytes:
    total = ~sum(data) & 0xFFFFFFFF
    return data[:place] + struct.pack(">I", total) + data[place + 4 :]


def vhd_footer(size: int, kind: int, ident: bytes, creator: bytes = b"win ", geometry: int = 0) -> bytes:
    """A footer; ``geometry`` is cylinders, heads and sectors in one number."""
    offset = (1 << 64) - 1 if kind == 2 else SECTOR
    fields = (b"conectix", 2, 1 << 16, offset, 0, creator, 0, b"Wi2k", size, size, geometry, kind, 0, ident)
    return _summed(struct.pack(">8sIIQI4sI4sQQIII16s", *fields).ljust(SECTOR, b"\0"), 64)


def vhd(
    size: int,
    changes: Changes,
    *,
    ident: bytes,
    parent: bytes = b"",
    name: str = "",
    block: int = 2 * MIB,
    noise: bytes = b"",
) -> bytes:
    """A dynamic VHD, or over ``parent`` (its id) and its ``name`` a differencing one.

    ``noise`` fills what the bitmaps leave out.
    """
    kind = 4 if parent else 3
    blocks = -(-size // block)
    locator = name.encode("utf-16-le")
    table_offset = 2048
    locator_offset = table_offset + -(-blocks * 4 // SECTOR) * SECTOR
    first = locator_offset + -(-len(locator) // SECTOR) * SECTOR
    entry = struct.pack(">4sIIIQ", b"W2ru", SECTOR, len(locator), 0, locator_offset) if parent else b""
    header = struct.pack(
        ">8sQQIIII16sII512s",
        b"cxsparse", (1 << 64) - 1, table_offset, 1 << 16, blocks, block, 0, parent, 0, 0,
        name.encode("utf-16-be")[:512],
    )  # fmt: skip
    header = _summed((header + entry).ljust(1024, b"\0"), 36)
    table, body = [], bytearray()
    bitmap_bytes = -(-block // (SECTOR * 8 * SECTOR)) * SECTOR
    sectors = _sectors(changes)
    for number in range(blocks):
        inside = {s: c for s, c in sectors.items() if s * SECTOR // block == number}
        if not inside:
            table.append(0xFFFFFFFF)
            continue
        table.append((first + len(body)) // SECTOR)
        bitmap = bytearray(bitmap_bytes)
        data = bytearray((noise or b"\0") * block)[:block]
        for sector, content in inside.items():
            within = sector - number * block // SECTOR
            bitmap[within // 8] |= 0x80 >> within % 8
            data[within * SECTOR : (within + 1) * SECTOR] = content
        body += bitmap + data
    footer = vhd_footer(size, kind, ident)
    area = footer + header + bytes(table_offset - 1536) + struct.pack(f">{blocks}I", *table)
    area = area.ljust(locator_offset, b"\0") + locator
    return area.ljust(first, b"\0") + bytes(body) + footer


def vdi(
    size: int,
    blocks: dict[int, bytes | None],
    *,
    created: uuid.UUID,
    modified: uuid.UUID,
    parent: tuple[uuid.UUID, uuid.UUID] | None = None,
    block: int = MIB,
    extra: int = 0,
) -> bytes:
    """A VDI with ``blocks`` by number, None for one of zeros; ``parent`` is its two ids."""
    count = -(-size // block)
    none = bytes(16)
    links = [parent[0].bytes_le, parent[1].bytes_le] if parent else [none, none]
    data_offset = 1024 + -(-count * 4 // SECTOR) * SECTOR
    head = struct.pack(
        "<64sIIIII256s", b"<<< a disk image >>>\n", 0xBEDA107F, 0x10001, 0x190, 4 if parent else 1, 0, b""
    )
    head += struct.pack(
        "<II16sIQIIII", 1024, data_offset, bytes(16), 0, size, block, extra, count, len(blocks)
    )
    head += b"".join([created.bytes_le, modified.bytes_le, *links])
    table, body = [], bytearray()
    for number in range(count):
        if number not in blocks:
            table.append(0xFFFFFFFF)
        elif (content := blocks[number]) is None:
            table.append(0xFFFFFFFE)
        else:
            table.append(len(body) // (block + extra))
            body += b"e" * extra + content.ljust(block, b"\0")
    return (
        head.ljust(1024, b"\0")
        + struct.pack(f"<{count}I", *table).ljust(data_offset - 1024, b"\0")
        + bytes(body)
    )


def crc32c(data: bytes) -> int:
    """CRC-32C."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def _sealed(data: bytes) -> bytes:
    data = data[:4] + bytes(4) + data[8:]
    return data[:4] + struct.pack("<I", crc32c(data)) + data[8:]


def vhdx_parent_id(path: Path) -> uuid.UUID:
    """The id of a VHDX's content, by its first header."""
    with path.open("rb") as file:
        start = file.read(256 << 10)
    headers = [start[place : place + 48] for place in (64 << 10, 128 << 10)]
    best = max(headers, key=lambda data: int.from_bytes(data[8:16], "little"))
    return uuid.UUID(bytes_le=best[32:48])


def vhdx(
    size: int,
    changes: Changes,
    *,
    parent: uuid.UUID,
    name: str,
    block: int = 2 * MIB,
    whole: tuple[int, ...] = (),
) -> bytes:
    """A differencing VHDX; blocks of ``whole`` are fully present, others with changes partially."""
    head = struct.pack(
        "<4sIQ16s16s16sHHIQ", b"head", 0, 1, bytes(16), uuid.uuid4().bytes_le, bytes(16), 0, 1, MIB, MIB
    )
    head = _sealed(head.ljust(4096, b"\0"))
    bat, metadata = 3 * MIB, 2 * MIB
    regions = struct.pack("<4sIII", b"regi", 0, 2, 0)
    regions += uuid.UUID("2dc27766-f623-4200-9d64-115e9bfd4a08").bytes_le + struct.pack("<QII", bat, MIB, 1)
    regions += uuid.UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e").bytes_le + struct.pack(
        "<QII", metadata, MIB, 1
    )
    regions = _sealed(regions.ljust(64 << 10, b"\0"))
    pairs = {"parent_linkage": f"{{{parent}}}", "relative_path": name}
    texts, index = bytearray(), bytearray()
    for key, value in pairs.items():
        a, b = key.encode("utf-16-le"), value.encode("utf-16-le")
        start = 20 + 12 * len(pairs) + len(texts)
        index += struct.pack("<IIHH", start, start + len(a), len(a), len(b))
        texts += a + b
    locator = (
        uuid.UUID("b04aefb7-d19e-4a81-b789-25b8e9445913").bytes_le
        + struct.pack("<HH", 0, len(pairs))
        + index
        + texts
    )
    items = {
        "caa16737-fa36-4d43-b3b6-33f0aa44e76b": struct.pack("<II", block, 2),
        "2fa54224-cd1b-4876-b211-5dbed83bf4b8": struct.pack("<Q", size),
        "8141bf1d-a96f-4709-ba47-f233a8faab5f": struct.pack("<I", 512),
        "a8d35f2d-b30b-454d-abf7-d3d84834ab0c": locator,
    }
    table = struct.pack("<8sHH20x", b"metadata", 0, len(items))
    values = bytearray()
    for guid, item in items.items():
        table += uuid.UUID(guid).bytes_le + struct.pack("<IIII", (64 << 10) + len(values), len(item), 4, 0)
        values += item
    meta = table.ljust(64 << 10, b"\0") + values
    ratio = (1 << 23) * 512 // block
    count = -(-size // block)
    entries = [0] * (-(-count // ratio) * (ratio + 1))
    bitmap, body = bytearray(MIB), bytearray()
    first = 5 * MIB
    for number in range(count):
        inside = {s: c for s, c in _sectors(changes).items() if s * SECTOR // block == number}
        if not inside:
            continue
        entries[number // ratio * (ratio + 1) + number % ratio] = first + len(body) | (
            6 if number in whole else 7
        )
        data = bytearray(block)
        for sector, content in inside.items():
            within = sector - number * block // SECTOR
            bit = sector % (1 << 23)
            bitmap[bit // 8] |= 1 << bit % 8
            data[within * SECTOR : (within + 1) * SECTOR] = content
        body += data
    entries[ratio] = 4 * MIB | 6
    image = bytearray(5 * MIB)
    for place, part in (
        (0, b"vhdxfile"), (64 << 10, head), (128 << 10, head), (192 << 10, regions), (256 << 10, regions),
        (metadata, meta), (bat, struct.pack(f"<{len(entries)}Q", *entries)), (4 * MIB, bytes(bitmap)),
    ):  # fmt: skip
        image[place : place + len(part)] = part
    return bytes(image) + bytes(body)
