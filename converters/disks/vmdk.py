"""VMDK headers and descriptors: what a disk image consists of, before anything opens what it names.

The format is that of VMware's technical note "Virtual Disk Format 5.0". Descriptors come from outside and are
not to be trusted with a path.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from converters.errors import DiskError

SECTOR = 512
_DESCRIPTOR_START = re.compile(rb"(?:\xef\xbb\xbf)?\s*#[ \t]*Disk[ \t]*Descriptor[ \t]*File", re.IGNORECASE)
DESCRIPTOR_LIMIT = 1 << 20
"""Bytes; a real descriptor has a few hundred."""
NO_PARENT = 0xFFFFFFFF
FLAT_TYPES = frozenset({"FLAT", "VMFS", "VMFSRDM", "VMFSRAW", "ZERO"})
"""Extent types whose bytes are the disk's, or zeros."""
SPARSE_TYPES = frozenset({"SPARSE", "VMFSSPARSE", "SESPARSE"})

_EXTENT_LINE = re.compile(
    rb'\s*(RW|RDONLY|NOACCESS)\s+(\d{1,18})\s+(\w+)(?:\s+"([^"]*)"(?:\s+(\d{1,18}))?)?\s*'
)
_EXTENT_START = re.compile(rb"\s*(RW|RDONLY|NOACCESS)\s")
_FIELD_LINE = re.compile(rb'\s*([\w.]+)\s*=\s*"?(.*?)"?\s*')

_HEADER = struct.Struct("<4sIIQQQQIQQQB4sH")
FLAG_NEWLINE_TEST = 1 << 0
FLAG_ZERO_GRAINS = 1 << 2
FLAG_COMPRESSED = 1 << 16
FLAG_MARKERS = 1 << 17
SPARSE_MAGIC = b"KDMV"
COWD_MAGIC = b"COWD"
DIRECTORY_AT_END = (1 << 64) - 1
"""Place of a grain directory that a footer tells."""
_NEWLINES = b"\n \r\n"
_DEFLATE = 1


_LONGEST_NAME = 4096
"""Bytes: ``PATH_MAX``."""
_NO_CHARSETS = ("punycode", "idna", "unicode_escape", "raw_unicode_escape")
"""Python's codecs that no descriptor means; the first takes time by the square of the name's length."""


@dataclass(frozen=True, slots=True)
class SparseHeader:
    """The header of a hosted sparse extent or of a stream-optimized one; sizes and offsets are in sectors."""

    version: int
    flags: int
    capacity: int
    grain: int
    descriptor_offset: int
    descriptor_size: int
    table_entries: int
    directory_offset: int
    overhead: int
    algorithm: int
    newlines_intact: bool

    @property
    def compressed(self) -> bool:
        """Whether grains are deflated."""
        return bool(self.flags & FLAG_COMPRESSED) and self.algorithm == _DEFLATE

    @property
    def markers(self) -> bool:
        """Whether every grain and table is announced by a marker, so that it can be read as a stream."""
        return bool(self.flags & FLAG_MARKERS)


def parse_header(data: bytes) -> SparseHeader | None:
    """The header in a file's first sector, or None where there is another format."""
    if len(data) < _HEADER.size or not data.startswith(SPARSE_MAGIC):
        return None
    fields = _HEADER.unpack_from(data)
    _, version, flags, capacity, grain, descriptor_offset, descriptor_size, entries, _ = fields[:9]
    directory, overhead, _, newlines, algorithm = fields[9:]
    return SparseHeader(
        version=version,
        flags=flags,
        capacity=capacity,
        grain=grain,
        descriptor_offset=descriptor_offset,
        descriptor_size=descriptor_size,
        table_entries=entries,
        directory_offset=directory,
        overhead=overhead,
        algorithm=algorithm,
        newlines_intact=not flags & FLAG_NEWLINE_TEST or newlines == _NEWLINES,
    )


@dataclass(frozen=True, slots=True)
class ExtentLine:
    """One extent of a descriptor."""

    access: str
    sectors: int
    type: str
    name: bytes
    """File name as it stands in the descriptor, in the descriptor's encoding; empty for ``ZERO``."""
    offset: int
    """Sectors from the start of the file."""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """The text part of a VMDK."""

    create_type: str
    content_id: int
    parent_content_id: int
    parent_name: bytes
    """Empty where the disk stands alone."""
    encoding: str
    extents: tuple[ExtentLine, ...]

    @property
    def has_parent(self) -> bool:
        """Whether this is a delta over another disk."""
        return self.parent_content_id != NO_PARENT

    @property
    def capacity(self) -> int:
        """Bytes, by the extents."""
        return sum(extent.sectors for extent in self.extents) * SECTOR

    def file_names(self, name: bytes) -> tuple[bytes, ...]:
        """The names under which a file of this descriptor may lie on disk: as it stands, and decoded."""
        if len(name) > _LONGEST_NAME or self.encoding.lower().replace("-", "_") in _NO_CHARSETS:
            return (name,)
        try:
            decoded = name.decode(self.encoding).encode("utf-8")
        except (LookupError, UnicodeError):
            return (name,)
        return (name,) if decoded == name else (decoded, name)


def is_descriptor(data: bytes) -> bool:
    """Whether a file or an area that begins with ``data`` is a descriptor."""
    return _DESCRIPTOR_START.match(data) is not None


def parse_descriptor(data: bytes) -> Descriptor:
    """Read a descriptor.

    Raises:
        DiskError: not a descriptor, or a line that does not say what a descriptor must.
    """
    text = data.partition(b"\0")[0]
    if not is_descriptor(text):
        raise DiskError("not a VMDK descriptor", "give the .vmdk file that names the disk's extents")
    fields: dict[bytes, bytes] = {}
    extents: list[ExtentLine] = []
    for line in text.splitlines():
        if match := _EXTENT_LINE.fullmatch(line):
            access, sectors, kind, name, offset = match.groups()
            extents.append(
                ExtentLine(
                    access.decode(), int(sectors), kind.decode().upper(), name or b"", int(offset or 0)
                )
            )
        elif _EXTENT_START.match(line):
            raise DiskError(f"VMDK descriptor: no extent can be read from the line {line!r}")
        elif not line.lstrip().startswith(b"#") and (match := _FIELD_LINE.fullmatch(line)):
            fields.setdefault(match[1].lower(), match[2])
    return Descriptor(
        create_type=_text(fields, b"createtype"),
        content_id=_content_id(fields, b"cid"),
        parent_content_id=_content_id(fields, b"parentcid"),
        parent_name=fields.get(b"parentfilenamehint", b""),
        encoding=_text(fields, b"encoding") or "utf-8",
        extents=tuple(extents),
    )


def _text(fields: dict[bytes, bytes], key: bytes) -> str:
    return fields.get(key, b"").decode("ascii", "backslashreplace")


def _content_id(fields: dict[bytes, bytes], key: bytes) -> int:
    value = fields.get(key, b"ffffffff")
    try:
        return int(value, 16)
    except ValueError:
        raise DiskError(f"VMDK descriptor: {key.decode()} is {value!r}, not a number") from None
