"""A tree of btrfs with changes in memory: what a replay of the log makes of it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator

from converters.errors import UnsupportedError
from converters.filesystems.btrfs.tree import Item, Items, Key

_MOST_CHANGED = 96 << 20
"""Bytes of all changed items. A log is what was synchronised within one transaction, half a minute."""
_OVERHEAD = 300
"""Bytes of memory that an item takes beside its data."""


class EditedTree:
    """The items of ``base`` with those changed that were put or deleted here."""

    def __init__(self, base: Items) -> None:
        self._base = base
        self._changed: dict[Key, bytes | None] = {}
        self._keys: list[Key] = []
        self._bytes = 0

    def get(self, key: Key) -> bytes | None:
        """The data of an item; None where there is none."""
        if key in self._changed:
            return self._changed[key]
        return next((item.data for item in self._base.items(key, key)), None)

    def put(self, key: Key, data: bytes) -> None:
        """Add an item, or replace it.

        Raises:
            UnsupportedError: more has changed than memory is there for.
        """
        self._bytes += len(data) + _OVERHEAD - len(self._changed.get(key) or b"")
        self._change(key, data)
        if self._bytes > _MOST_CHANGED:
            raise UnsupportedError(f"the log of btrfs changes more than {_MOST_CHANGED} bytes of metadata")

    def delete(self, key: Key) -> None:
        """Remove an item, if it is there."""
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
        if key not in self._changed:
            insort(self._keys, key)
        self._changed[key] = data
