"""The memory that the readers of one guest's file systems take together, however many these are.

A guest may have a hundred volumes. What readers keep to be fast is one cache, from which goes what was not
asked for the longest, whoever put it there; what they keep for good is taken from a budget, and where that is
spent they do without or refuse.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from functools import cached_property
from itertools import count
from typing import Any, Generic, TypeVar

CACHED_BYTES = 36 << 20
"""Of blocks, decoded metadata and names: with one large file system, fewer make it slower."""
PASSING_BYTES = 4 << 20
"""Of what is looked at once, such as files' content."""
KEPT_BYTES = 40 << 20
"""Of entries remembered from walks: some 100,000."""
LOG_BYTES = 64 << 20
"""Of changes in logs of btrfs, which are what was synchronised within half a minute."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Budget:
    """Bytes that several may take."""

    def __init__(self, size: int) -> None:
        self.size = size
        """Bytes in all."""
        self._left = size

    def take(self, size: int) -> bool:
        """Take ``size`` bytes; False, and nothing is taken, where they are not there."""
        if size > self._left:
            return False
        self._left -= size
        return True

    def give_back(self, size: int) -> None:
        """Return what was taken."""
        self._left += size


class Memory:
    """What all readers of one guest share. Sizes are estimates of what Python takes, in bytes."""

    def __init__(self, cached: int = CACHED_BYTES, kept: int = KEPT_BYTES, log: int = LOG_BYTES) -> None:
        self.kept = Budget(kept)
        self.log = Budget(log)
        self._most = cached
        self._cached = 0
        self._entries: OrderedDict[tuple[int, Hashable], tuple[Any, int]] = OrderedDict()
        self._numbers = count()

    @property
    def cached_bytes(self) -> int:
        """Bytes in the cache."""
        return self._cached

    @cached_property
    def passing(self) -> Memory:
        """A small cache beside this one: a tree's content goes through it and pushes no metadata out."""
        return Memory(PASSING_BYTES, 0, 0)

    def cache(self) -> Cache[Any, Any]:
        """A part of the cache with keys of its own."""
        return Cache(self, next(self._numbers))

    def _get(self, key: tuple[int, Hashable]) -> Any:
        found = self._entries.get(key)
        if found is None:
            return None
        self._entries.move_to_end(key)
        return found[0]

    def _put(self, key: tuple[int, Hashable], value: Any, size: int) -> None:
        before = self._entries.pop(key, None)
        self._entries[key] = value, size
        self._cached += size - (before[1] if before else 0)
        while self._cached > self._most and len(self._entries) > 1:
            _, (_, gone) = self._entries.popitem(last=False)
            self._cached -= gone

    def _forget(self, number: int) -> None:
        for key in [key for key in self._entries if key[0] == number]:
            self._cached -= self._entries.pop(key)[1]


class Cache(Generic[K, V]):
    """One user's part of a ``Memory``'s cache: what it holds may be gone at the next look."""

    def __init__(self, memory: Memory, number: int) -> None:
        self._memory = memory
        self._number = number

    def get(self, key: K) -> V | None:
        """What was put there; None where it is gone."""
        found: V | None = self._memory._get((self._number, key))
        return found

    def put(self, key: K, value: V, size: int) -> V:
        """Keep a value of some ``size`` bytes for as long as there is room; gives the value."""
        self._memory._put((self._number, key), value, size)
        return value

    def clear(self) -> None:
        """Forget all of this user's."""
        self._memory._forget(self._number)
