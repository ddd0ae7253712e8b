"""Header blocks of tar entries: ustar, with pax records only where ustar has no room.

POSIX.1-2017, pax, "ustar Interchange Format" and "pax Extended Header". What Go's archive/tar (container
engines), GNU tar and Python's tarfile read alike is written so; names that are not UTF-8 go byte by byte with
``hdrcharset=BINARY``. Extended attributes are ``SCHILY.xattr.`` records, as all three know them.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable

from converters.filesystems.base import Entry, Kind

BLOCK = 512
PADDING = tuple(bytes(-size % BLOCK) for size in range(BLOCK))
"""What fills the last block of a content, by the content's size modulo ``BLOCK``."""

_OCTAL7 = 0o7777777
_OCTAL11 = 0o77777777777
_TYPES = {
    Kind.FILE: b"0",
    Kind.DIRECTORY: b"5",
    Kind.SYMLINK: b"2",
    Kind.CHARACTER: b"3",
    Kind.BLOCK: b"4",
    Kind.FIFO: b"6",
}
_HARD_LINK = b"1"
_NON_ASCII = bytes(byte if byte < 0x80 else ord("_") for byte in range(256))


def header(entry: Entry, linked_to: bytes | None = None) -> bytes:
    """The blocks before an entry's content; ``linked_to`` makes it a hard link to that path.

    A hard link repeats mode, owner and attributes: engines apply each header to the inode, and their chown
    clears setuid bits and file capabilities, so a bare link would lose what the first name set.
    """
    kind = entry.kind
    size = 0
    if linked_to is not None:
        type_, path, link = _HARD_LINK, entry.path, linked_to
    else:
        type_, path, link = _TYPES[kind], entry.path, entry.target
        if kind is Kind.DIRECTORY:
            path = path + b"/" if path else b"./"
        elif kind is Kind.FILE:
            size = entry.size
    seconds, nanoseconds = divmod(entry.mtime_ns, 1_000_000_000)
    # Long or non-ASCII names, large numbers, fractions, attributes: few entries need any of it.
    plain = (
        not nanoseconds
        and not entry.xattrs
        and len(path) <= 100
        and len(link) <= 100
        and path.isascii()
        and link.isascii()
        and 0 <= seconds <= _OCTAL11
        and size <= _OCTAL11
        and entry.uid <= _OCTAL7
        and entry.gid <= _OCTAL7
    )
    if plain:
        return _ustar(type_, path, b"", link, entry, size, seconds)
    prefix, name = _split(path)
    records = _records(entry, path if name is None else b"", link, size, seconds, nanoseconds)
    short = path.translate(_NON_ASCII)[:100] if name is None else name
    main = _ustar(type_, short, prefix, link.translate(_NON_ASCII)[:100], entry, size, seconds)
    return _extended(records) + main if records else main


def _ustar(
    type_: bytes, name: bytes, prefix: bytes, link: bytes, entry: Entry, size: int, seconds: int
) -> bytes:
    """One header block; numbers without room are 0 here, their pax records hold."""
    before = b"%b%07o\0%07o\0%07o\0%011o\0%011o\0" % (
        name.ljust(100, b"\0"),
        entry.mode,
        entry.uid if entry.uid <= _OCTAL7 else 0,
        entry.gid if entry.gid <= _OCTAL7 else 0,
        size if size <= _OCTAL11 else 0,
        seconds if 0 <= seconds <= _OCTAL11 else 0,
    )
    after = b"%b%bustar\x0000%b%07o\0%07o\0%b" % (
        type_,
        link.ljust(100, b"\0"),
        bytes(64),
        entry.major,
        entry.minor,
        prefix.ljust(167, b"\0"),
    )
    # The sum of all bytes is the low half of Adler-32 less 1, at a tenth of sum()'s time. It cannot pass the
    # modulus of 65521: names are ASCII here, so a block's sum stays below 355 * 127 + 157 * 57.
    checksum = (zlib.adler32(b"%b        %b" % (before, after)) & 0xFFFF) - 1
    return b"%b%06o\0 %b" % (before, checksum, after)


def _split(path: bytes) -> tuple[bytes, bytes | None]:
    """The ustar prefix and name of an ASCII path; no name where they have no room for it."""
    if not path.isascii():
        return b"", None
    if len(path) <= 100:
        return b"", path
    slash = path.find(b"/", len(path) - 101)
    if 0 < slash <= 155 and slash < len(path) - 1:
        return path[:slash], path[slash + 1 :]
    return b"", None


def _records(
    entry: Entry, path: bytes, link: bytes, size: int, seconds: int, nanoseconds: int
) -> list[tuple[bytes, bytes]]:
    records = []
    if path:
        records.append((b"path", path))
    if len(link) > 100 or not link.isascii():
        records.append((b"linkpath", link))
    if any(not _is_utf8(name) for _, name in records):
        records.insert(0, (b"hdrcharset", b"BINARY"))
    if size > _OCTAL11:
        records.append((b"size", b"%d" % size))
    if entry.uid > _OCTAL7:
        records.append((b"uid", b"%d" % entry.uid))
    if entry.gid > _OCTAL7:
        records.append((b"gid", b"%d" % entry.gid))
    if nanoseconds or not 0 <= seconds <= _OCTAL11:
        records.append((b"mtime", _decimal(entry.mtime_ns)))
    records.extend((b"SCHILY.xattr." + name, value) for name, value in entry.xattrs)
    return records


def _extended(records: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A pax extended header: its own header block, whose fields mean nothing, and the records."""
    data = b"".join(_record(key, value) for key, value in records)
    return _ustar(b"x", b"PaxHeader", b"", b"", _PAX_OWNER, len(data), 0) + data + PADDING[len(data) % BLOCK]


_PAX_OWNER = Entry(path=b"", kind=Kind.FILE, mode=0o644, uid=0, gid=0, size=0, mtime_ns=0, inode=0, nlink=1)


def _record(key: bytes, value: bytes) -> bytes:
    """``length key=value\\n``, where the length counts its own digits."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    if len(str(length)) != len(str(rest)):
        length = rest + len(str(length))
    return b"%d %b=%b\n" % (length, key, value)


def _decimal(nanoseconds: int) -> bytes:
    """Seconds as a decimal fraction without trailing zeros, exact to the nanosecond."""
    seconds, fraction = divmod(abs(nanoseconds), 1_000_000_000)
    sign = b"-" if nanoseconds < 0 else b""
    return (b"%b%d.%09d" % (sign, seconds, fraction)).rstrip(b"0").rstrip(b".")


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True
