"""Headway: the sign of life of work that gives nothing for long, such as copying a disk or walking a tree.

Who does such work calls ``advance`` for each part that is done. Who watches it is told at most once a second,
and only of work that was done: what hangs is silent. Threads that are started meanwhile are not watched.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

INTERVAL_SECONDS = 1.0

T = TypeVar("T")


class _Watcher:
    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell = tell
        self._next = time.monotonic() + INTERVAL_SECONDS

    def advance(self) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + INTERVAL_SECONDS
            self._tell()


_watcher: ContextVar[_Watcher | None] = ContextVar("headway", default=None)


@contextmanager
def watched(tell: Callable[[], None]) -> Iterator[None]:
    """Call ``tell`` now and then as long as the work inside advances."""
    token = _watcher.set(_Watcher(tell))
    try:
        yield
    finally:
        _watcher.reset(token)


def advance() -> None:
    """A part of the work is done: bytes were copied, an entry was seen, a machine answered."""
    watcher = _watcher.get()
    if watcher is not None:
        watcher.advance()


def counted(things: Iterable[T]) -> Iterator[T]:
    """``things``, each of which is a part of the work."""
    for thing in things:
        advance()
        yield thing
