"""rpm's database until RHEL 8 and SLES 12: a hash of Berkeley DB, its values in chains of pages.

Source: Berkeley DB's dbinc/db_page.h: metadata, hash and overflow pages.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

_MAGIC = 0x00061561
_HASH_META = 8
_HASH_PAGES = (2, 13)
"""Unsorted, and sorted."""
_OVERFLOW = 7
_INLINE, _OFF_PAGE = 1, 3
_HEAD = 26
"""Bytes of a page's header."""
_PAGE_SIZES = tuple(1 << shift for shift in range(9, 17))


class DatabaseError(ValueError):
    """A database is damaged, or none."""


def berkeley_blobs(content: bytes) -> Iterator[bytes]:
    """The values of the hash, each a header.

    Raises:
        DatabaseError: it is no hash of Berkeley DB, or a chain of pages leads astray.
    """
    order, size = _geometry(content)
    pages = len(content) // size
    budget = 2 * len(content)
    for number in range(1, pages):
        page = content[number * size : (number + 1) * size]
        if page[25] not in _HASH_PAGES:
            continue
        for blob in _values(content, page, order, size):
            budget -= len(blob)
            if budget < 0:
                raise DatabaseError("several values share their pages")
            yield blob


def _geometry(content: bytes) -> tuple[str, int]:
    if len(content) < 512 or content[25] != _HASH_META:
        raise DatabaseError("no hash of Berkeley DB")
    for order in ("<", ">"):
        magic, _, size = struct.unpack_from(order + "3I", content, 12)
        if magic == _MAGIC and size in _PAGE_SIZES:
            return order, size
    raise DatabaseError("no hash of Berkeley DB")


def _values(content: bytes, page: bytes, order: str, size: int) -> Iterator[bytes]:
    """Values are every second item; an item ends where the one before it begins."""
    (entries,) = struct.unpack_from(order + "H", page, 20)
    if _HEAD + 2 * entries > size:
        raise DatabaseError("a page has more items than room")
    places = struct.unpack_from(f"{order}{entries}H", page, _HEAD)
    for index in range(1, entries, 2):
        start, end = places[index], places[index - 1]
        if not _HEAD <= start < end <= size:
            raise DatabaseError("an item lies outside of its page")
        item = page[start:end]
        if item[0] == _OFF_PAGE and len(item) >= 12:
            first, length = struct.unpack_from(order + "2I", item, 4)
            yield _chain(content, first, length, order, size)
        elif item[0] == _INLINE and len(item) > 16:  # less is rpm's own counter
            yield item[1:]


def _chain(content: bytes, first: int, length: int, order: str, size: int) -> bytes:
    parts: list[bytes] = []
    found, number = 0, first
    while found < length:
        page = content[number * size : (number + 1) * size]
        if not number or len(page) < size or page[25] != _OVERFLOW or len(parts) * size > len(content):
            raise DatabaseError("a chain of pages leads astray")
        number, _, used = struct.unpack_from(order + "I2H", page, 16)
        parts.append(page[_HEAD : _HEAD + used])
        found += len(parts[-1])
        if not used:
            raise DatabaseError("a chain of pages leads astray")
    return b"".join(parts)[:length]
