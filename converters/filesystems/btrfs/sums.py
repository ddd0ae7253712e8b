"""The checksums of data: those in their tree, and newer ones out of a log."""

from __future__ import annotations

from converters.errors import FilesystemError, UnsupportedError
from converters.filesystems.btrfs import items
from converters.filesystems.btrfs.compression import Compression
from converters.filesystems.btrfs.items import Extent
from converters.filesystems.btrfs.tree import LAST, Tree
from converters.filesystems.memory import Budget

_OBJECT = LAST - 9
"""The object of all checksums (``BTRFS_EXTENT_CSUM_OBJECTID``, -10)."""
_SUM_BYTES = 160
"""Of memory, that the checksum of a sector takes."""


class Sums:
    """Checksums of sectors of ``sector`` bytes by logical address; each has ``size`` bytes."""

    def __init__(self, tree: Tree, size: int, sector: int, log: Budget) -> None:
        self._tree = tree
        self._size = size
        self._sector = sector
        self._logged: dict[int, bytes] = {}
        self._budget = log

    def take(self, log: Tree, extent: Extent) -> None:
        """Take those of a piece of a file out of a log, as far as it has them.

        Raises:
            FilesystemError: the log is damaged.
            UnsupportedError: there are more than memory is there for.
        """
        if extent.compression == Compression.NONE:
            begin, length = extent.address + extent.offset, extent.length
        else:
            begin, length = extent.address, extent.stored
        for address, sums in _stored(log, begin, length, self._size, self._sector):
            before = len(self._logged)
            for place in range(0, len(sums), self._size):
                self._logged[address + place // self._size * self._sector] = sums[place : place + self._size]
            if not self._budget.take((len(self._logged) - before) * _SUM_BYTES):
                raise UnsupportedError(
                    f"the logs of btrfs have more checksums than {self._budget.size} bytes are enough for"
                )

    def of(self, address: int, length: int) -> bytes:
        """The checksums of ``length`` bytes at ``address``, one after another.

        Raises:
            FilesystemError: a sector has none.
        """
        if self._logged:
            return b"".join(self._one(place) for place in range(address, address + length, self._sector))
        return self._read(address, length)

    def _one(self, address: int) -> bytes:
        return self._logged.get(address) or self._read(address, self._sector)

    def _read(self, address: int, length: int) -> bytes:
        found: list[bytes] = []
        end = address + length
        for begin, sums in _stored(self._tree, address, length, self._size, self._sector):
            if begin != address:
                break
            found.append(sums)
            address += len(sums) // self._size * self._sector
        if address != end:
            raise FilesystemError(f"there is no checksum of data on btrfs at {address}")
        return b"".join(found)


def _stored(tree: Tree, address: int, length: int, size: int, sector: int) -> list[tuple[int, bytes]]:
    """What a tree has of the checksums of ``length`` bytes at ``address``, each run with where it begins."""
    end = address + length
    before = tree.floor((_OBJECT, items.EXTENT_CSUM, address))
    is_sum = before is not None and (before.objectid, before.type) == (_OBJECT, items.EXTENT_CSUM)
    low = before.offset if before is not None and is_sum else address
    found = []
    for item in tree.items((_OBJECT, items.EXTENT_CSUM, low), (_OBJECT, items.EXTENT_CSUM, end - 1)):
        if len(item.data) % size or item.offset % sector:
            raise FilesystemError(f"the checksums of data on btrfs at {item.offset} are damaged")
        first = max(address, item.offset)
        place = (first - item.offset) // sector * size
        sums = item.data[place : place + -(-(end - first) // sector) * size]
        if sums:
            found.append((first, sums))
    return found
