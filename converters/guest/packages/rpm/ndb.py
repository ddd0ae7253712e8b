"""rpm's database of SUSE since 15: ndb, a table of slots that point at blobs.

Source: rpm's lib/backend/ndb/rpmpkg.c.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from converters.guest.packages.rpm.berkeley import DatabaseError

_MAGIC, _SLOT, _BLOB = b"RpmP", b"Slot", b"BlbS"
_PAGE, _SLOT_SIZE, _BLOCK = 4096, 16, 16
_HEAD = 32
"""Bytes of the database's header, which takes the place of two slots."""


def ndb_blobs(content: bytes) -> Iterator[bytes]:
    """The headers of all packages.

    Raises:
        DatabaseError: it is no such database, or a slot leads astray.
    """
    if content[:4] != _MAGIC or len(content) < _HEAD:
        raise DatabaseError("no database of rpm's own format")
    (pages,) = struct.unpack_from("<I", content, 12)
    end = min(pages * _PAGE, len(content))
    budget = len(content)
    for position in range(_HEAD, end - _SLOT_SIZE + 1, _SLOT_SIZE):
        index, offset, _ = struct.unpack_from("<3I", content, position + 4)
        if content[position : position + 4] != _SLOT or not index:
            continue
        start = offset * _BLOCK
        head = content[start : start + 16]
        if len(head) < 16 or head[:4] != _BLOB or struct.unpack_from("<I", head, 4)[0] != index:
            raise DatabaseError("a slot leads astray")
        (size,) = struct.unpack_from("<I", head, 12)
        budget -= size
        if budget < 0:
            raise DatabaseError("several slots share their blobs")
        yield content[start + 16 : start + 16 + size]
