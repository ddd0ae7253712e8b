"""A tree of btrfs with changes in memory: what a replay of the log makes of it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator

from converters.errors import FilesystemError, UnsupportedError
from converters.filesystems.btrfs.tree import Item, Items, Key
from converters.filesystems.memory import Budget

_OUTSIDE = 101 + 25
"""Bytes of a block that an item cannot have: the header's, and those that say where the item is."""
_OVERHEAD = 300
"""Bytes of memory that an item takes beside its data."""


class EditedTree:
    """The items of ``base`` with those changed that were put or deleted here."""

    def __init__(self, base: Items, node_size: int, log: Budget) -> None:
        """Blocks have ``node_size`` bytes; what changes is taken from the budget ``log``."""
        self.largest = node_size - _OUTSIDE
        """Bytes of the largest item."""
        self._base = base
        self._budget = log
        self._changed: dict[Key, bytes | None] = {}
        self._keys: list[Key] = []

    def get(self, key: Key) -> bytes | None:
        """The data of an item; None where there is none."""
        if key in self._changed:
            return self._changed[key]
        return next((item.data for item in self._base.items(key, key)), None)

    def put(self, key: Key, data: bytes) -> None:
        """Add an item, or replace it.

        Raises:
            FilesystemError: no block could hold it, so that the kernel fails, too (EOVERFLOW).
            UnsupportedError: more has changed than memory is there for.
        """
        if len(data) > self.largest:
            raise FilesystemError(
                f"the log of btrfs makes an item of {len(data)} bytes, where a block holds {self.largest}"
            )
        self._change(key, data)

    def delete(self, key: Key) -> None:
        """Remove an item, if it is there. Raises ``UnsupportedError`` as ``put``."""
        self._change(key, None)

    def items(self, low: Key, high: Key) -> Iterator[Item]:
        """The items from ``low`` to ``high``, both included, in order, as they are when this begins."""
        first, last = bisect_left(self._keys, low), bisect_right(self._keys, high)
        changed = {key: self._changed[key] for key in self._keys[first:last]}
        waiting = iter(sorted(changed))
        following = next(waiting, None)
        for item in self._base.items(low, high):
            while following is not None and following < item.key:
                if (data := changed[following]) is not None:
                    yield Item(*following, data)
                following = next(waiting, None)
            if item.key not in changed:
                yield item
        while following is not None:
            if (data := changed[following]) is not None:
                yield Item(*following, data)
            following = next(waiting, None)

    def _change(self, key: Key, data: bytes | None) -> None:
        size = len(data or b"") - len(self._changed.get(key) or b"")
        if key not in self._changed:
            size += _OVERHEAD
            insort(self._keys, key)
        self._changed[key] = data
        if not self._budget.take(size):
            raise UnsupportedError(
                f"the logs of btrfs change more metadata than {self._budget.size} bytes are enough for"
            )
