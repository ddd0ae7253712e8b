"""A disk whose bytes are fetched as they are wanted: kept in blocks, and ahead of who reads on."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import CancelledError, Executor, Future
from dataclasses import dataclass

from converters.errors import ConvertError, DefectError, DiskError

log = logging.getLogger(__name__)

Fetch = Callable[[int, int], bytes]
"""Offset and length in bytes, within the disk, to exactly its bytes; thread-safe."""

BLOCK = 64 << 10
"""Bytes fetched at least: a file system's tables lie together."""
_RUN = 16
"""Blocks of one request: more would keep the other connections idle."""
_WINDOW = 32
"""Blocks that are fetched ahead at most: some of them in vain, where a file ends."""
_STREAMS = 8
"""Readers that go on where they were: in a table, a directory, a file…"""
_GAP = 2
"""Blocks that one of them may leave out."""


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """Blocks that are on their way."""

    start: int
    stop: int
    blocks: Future[list[bytes]]


@dataclass(slots=True, eq=False)
class _Stream:
    """Somebody who reads on."""

    end: int
    """Block after the last one read."""
    ahead: int
    """Block after the last one asked for."""
    window: int = 0
    """Blocks to be ahead."""


class CachedDisk:
    """A read-only disk over ``fetch``; what is read again, or next, is there already.

    The first failure of a read is kept: none may succeed after it as if nothing had been.
    """

    def __init__(self, fetch: Fetch, size: int, executor: Executor, memory: int) -> None:
        """``memory`` is how many bytes are kept at most; fetches run in ``executor``."""
        self._fetch = fetch
        self._size = size
        self._count = -(-size // BLOCK)
        self._executor = executor
        self._most = max(4 * _WINDOW, memory // BLOCK)
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._coming: dict[int, _Run] = {}
        self._streams: list[_Stream] = []
        """Whoever has read last comes last."""
        self._closed = False
        self.failure: ConvertError | None = None
        """Why a read failed."""

    @property
    def size(self) -> int:
        """Size in bytes."""
        return self._size

    def pread(self, length: int, offset: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``; shorter only at the end of the disk.

        Raises:
            ConvertError: what ``fetch`` raised, now or before.
        """
        end = min(offset + length, self._size)
        if offset >= end:
            return b""
        first, stop = offset // BLOCK, -(-end // BLOCK)
        parts: list[bytes] = []
        for start in range(first, stop, _WINDOW):
            parts += self._read(start, min(start + _WINDOW, stop))
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        within = offset - first * BLOCK
        return data if len(data) == length else data[within : within + end - offset]

    def close(self) -> None:
        """Fetch nothing more; a second call does nothing."""
        with self._lock:
            self._closed = True
            self._kept.clear()
            runs = set(self._coming.values())
        for run in runs:
            run.blocks.cancel()

    def _read(self, start: int, stop: int) -> list[bytes]:
        with self._lock:
            if self.failure is not None:
                raise self.failure
            if self._closed:
                raise DiskError("the disk is closed already")
            self._ask(start, stop)
            wanted = [
                self._kept[number] if number in self._kept else self._coming[number]
                for number in range(start, stop)
            ]
            for number in range(start, stop):
                if number in self._kept:
                    self._kept.move_to_end(number)
            self._ask(*self._next(start, stop))
        try:
            return [
                one.blocks.result()[number - one.start] if isinstance(one, _Run) else one
                for number, one in enumerate(wanted, start)
            ]
        except CancelledError:
            raise DiskError("the disk was closed while it was read") from None
        except ConvertError as error:
            raise self._failed(error) from None
        except Exception as error:
            log.exception("what fetches a disk is wrong")
            raise self._failed(DefectError(f"{type(error).__name__}: {error}")) from error

    def _failed(self, error: ConvertError) -> ConvertError:
        with self._lock:
            self.failure = self.failure or error
            return self.failure

    def _next(self, start: int, stop: int) -> tuple[int, int]:
        """Blocks worth asking for before anybody reads them; nothing for who does not read on."""
        stream = next((one for one in self._streams if one.end - 1 <= start <= one.end + _GAP), None)
        if stream is None:
            stream = _Stream(stop, stop)
            del self._streams[: len(self._streams) + 1 - _STREAMS]
        else:
            self._streams.remove(stream)
            if stop > stream.end:
                stream.window = min(_WINDOW, max(2 * stream.window, stop - start, 2))
        self._streams.append(stream)
        stream.end = max(stream.end, stop)
        begin = max(stream.ahead, stream.end)
        if begin - stream.end > stream.window // 2:
            return begin, begin
        stream.ahead = min(stream.end + stream.window, self._count)
        return begin, stream.ahead

    def _ask(self, start: int, stop: int) -> None:
        """Have the blocks fetched that are neither here nor on their way."""
        number = start
        while number < stop:
            begin = number
            while number < min(stop, begin + _RUN) and not (number in self._kept or number in self._coming):
                number += 1
            if number == begin:
                number += 1
                continue
            run = _Run(begin, number, Future())
            self._coming |= dict.fromkeys(range(begin, number), run)
            self._executor.submit(self._load, run)

    def _load(self, run: _Run) -> None:
        """In the executor."""
        if not run.blocks.set_running_or_notify_cancel():
            return
        offset = run.start * BLOCK
        try:
            data = self._fetch(offset, min(run.stop * BLOCK, self._size) - offset)
        except BaseException as error:
            self._arrived(run, [])
            run.blocks.set_exception(error)
            return
        blocks = (
            [data]
            if run.stop - run.start == 1
            else [data[at : at + BLOCK] for at in range(0, len(data), BLOCK)]
        )
        self._arrived(run, blocks)
        run.blocks.set_result(blocks)

    def _arrived(self, run: _Run, blocks: list[bytes]) -> None:
        with self._lock:
            for number in range(run.start, run.stop):
                del self._coming[number]
            if not self._closed:
                self._kept |= dict(enumerate(blocks, run.start))
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
