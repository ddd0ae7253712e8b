"""rpm's database since RHEL 9: SQLite, with its write-ahead log (SQLite's "Database File Format").

The bytes are put together here and opened in memory, so that SQLite opens no file.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing

from converters.guest.packages.rpm.berkeley import DatabaseError

_MAGIC = b"SQLite format 3\0"
_VERSIONS = 18
"""Byte of the numbers that say whether a write-ahead log is used."""
_WAL_HEAD, _FRAME_HEAD = 32, 24
_WAL_MAGIC = (0x377F0682, 0x377F0683)
_STEPS = 100_000
_MOST_CALLS = 20_000
"""Times a hundred thousand steps of SQLite's machine: what a database of 256 MiB does not need."""


def sqlite_blobs(content: bytes, log: bytes = b"") -> Iterator[bytes]:
    """The headers of all packages.

    Args:
        log: the content of the write-ahead log.

    Raises:
        DatabaseError: it is no database of SQLite, or damaged.
    """
    if content[:16] != _MAGIC or len(content) < 512:
        raise DatabaseError("no database of SQLite")
    whole = bytearray(content)
    _apply(whole, log)
    whole[_VERSIONS : _VERSIONS + 2] = b"\1\1"  # a database in memory has no log
    calls = 0

    def too_long() -> bool:
        nonlocal calls
        calls += 1
        return calls > _MOST_CALLS

    try:
        with closing(sqlite3.connect(":memory:")) as database:
            database.deserialize(bytes(whole))
            database.text_factory = bytes
            database.execute("PRAGMA trusted_schema = OFF")
            database.set_progress_handler(too_long, _STEPS)
            kinds = database.execute("SELECT type FROM sqlite_schema WHERE name = 'Packages'").fetchall()
            if kinds != [(b"table",)]:  # rpm makes it with its first package
                return
            for (blob,) in database.execute("SELECT blob FROM Packages"):
                if isinstance(blob, bytes):
                    yield blob
    except UnicodeDecodeError as error:  # SQLite's own error quotes the damaged schema
        raise DatabaseError("malformed database schema") from error
    except sqlite3.Error as error:
        raise DatabaseError(str(error)) from error


def _apply(whole: bytearray, log: bytes) -> None:
    """Write the frames of committed transactions over the database; a frame that is none ends the log."""
    if len(log) < _WAL_HEAD:
        return
    magic, _, size = struct.unpack_from(">3I", log)
    if magic not in _WAL_MAGIC or size < 512 or size > 1 << 16 or size & (size - 1):
        return
    order = ">" if magic == _WAL_MAGIC[1] else "<"
    salts = log[16:24]
    sums = _checksum(log[:24], (0, 0), order)
    if sums != struct.unpack_from(">2I", log, 24):
        return
    waiting: list[tuple[int, int]] = []
    for start in range(_WAL_HEAD, len(log) - _FRAME_HEAD - size + 1, _FRAME_HEAD + size):
        page, pages = struct.unpack_from(">2I", log, start)
        body = start + _FRAME_HEAD
        sums = _checksum(log[start : start + 8] + log[body : body + size], sums, order)
        if log[start + 8 : start + 16] != salts or sums != struct.unpack_from(">2I", log, start + 16):
            return
        waiting.append((page, body))
        if pages:  # of the database after a commit, which this frame is
            _commit(whole, log, waiting, size, pages)
            waiting.clear()


def _commit(whole: bytearray, log: bytes, frames: list[tuple[int, int]], size: int, pages: int) -> None:
    end = pages * size
    if end > len(whole) + len(log):
        raise DatabaseError("its log names pages that nobody wrote")
    whole.extend(bytes(max(0, end - len(whole))))
    for page, body in frames:
        if 0 < page <= pages:
            whole[(page - 1) * size : page * size] = log[body : body + size]
    del whole[end:]


def _checksum(data: bytes, sums: tuple[int, int], order: str) -> tuple[int, int]:
    """SQLite's own, over pairs of 32-bit words ("WAL File Format", section 4.2)."""
    first, second = sums
    for one, other in struct.iter_unpack(order + "2I", data):
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + other + first) & 0xFFFFFFFF
    return first, second
