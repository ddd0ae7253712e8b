"""The host's end of the serial line of user-mode Linux. A hostile file system may rule the other end."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from io import FileIO
from typing import Self

from converters import headway
from converters.filesystems.uml import wire

_MIB = 1 << 20
_CHECK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class LineLimits:
    """How long the other end may take, and how much it may say."""

    frame_seconds: float = 30
    """From the first byte of a frame to its last; at 97 MB/s the largest takes a fifth of a second."""
    frame_bytes: int = 16 * _MIB
    answer_bytes: int = 64 * _MIB
    """Of all frames of an answer."""


class LineError(Exception):
    """The machine at the other end does not do what it should; the text says what."""


class Answer:
    """What one answer may still take."""

    def __init__(self, seconds: float, size: int) -> None:
        self.deadline = time.monotonic() + seconds
        self.left = size


class Line:
    """Sends requests and receives frames; a context manager that closes both pipes."""

    def __init__(self, check: Callable[[], None], limits: LineLimits) -> None:
        """``check`` is called for each frame, and once a second while one is waited for; it may raise."""
        self._check = check
        self._limits = limits
        with ExitStack() as stack:
            self._theirs_to_read, self._requests = _pipe(stack)
            self._answers, self._theirs_to_write = _pipe(stack)
            os.set_blocking(self._requests.fileno(), False)
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    @property
    def theirs(self) -> tuple[int, int]:
        """Descriptors for the machine: what it reads from, what it writes to."""
        return self._theirs_to_read.fileno(), self._theirs_to_write.fileno()

    def give_away(self) -> None:
        """The machine has its descriptors now: its end is seen when it closes them."""
        self._theirs_to_read.close()
        self._theirs_to_write.close()

    def expect(self, seconds: float) -> Answer:
        """What an answer may take that has to be there in ``seconds``."""
        return Answer(seconds, self._limits.answer_bytes)

    def send(self, data: bytes, answer: Answer) -> None:
        """Send a part of a request, for which ``answer`` is expected.

        Raises:
            LineError: the machine does not take it.
        """
        left = memoryview(data)
        while left:
            self._await(self._requests, select.POLLOUT, answer.deadline)
            try:
                left = left[self._requests.write(left) or 0 :]
            except OSError as error:
                raise LineError(f"it takes no request: {error.strerror}") from error

    def receive(self, answer: Answer) -> tuple[bytes, bytes]:
        """The kind and the content of the next frame of an answer.

        Raises:
            LineError: it does not come in time, or is longer than it may be.
        """
        self._await(self._answers, select.POLLIN, answer.deadline)
        deadline = min(answer.deadline, time.monotonic() + self._limits.frame_seconds)
        (length,) = wire.LENGTH.unpack(self._exactly(wire.LENGTH.size, deadline))
        if not 0 < length <= self._limits.frame_bytes:
            raise LineError(f"it answers with {length} bytes")
        answer.left -= length
        if answer.left < 0:
            raise LineError(f"it answers with more than {self._limits.answer_bytes} bytes")
        frame = self._exactly(length, deadline)
        self._check()
        headway.advance()
        return frame[:1], frame[1:]

    def _exactly(self, length: int, deadline: float) -> bytes:
        parts = []
        while length:
            self._await(self._answers, select.POLLIN, deadline)
            part = self._answers.read(min(length, _MIB))
            if not part:
                raise LineError("it ended")
            parts.append(part)
            length -= len(part)
        return b"".join(parts)

    def _await(self, pipe: FileIO, event: int, deadline: float) -> None:
        poll = select.poll()
        poll.register(pipe, event)
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise LineError("it does not answer in time")
            if poll.poll(min(left, _CHECK_SECONDS) * 1000):
                return
            self._check()


def _pipe(stack: ExitStack) -> tuple[FileIO, FileIO]:
    """Both ends of a pipe: to read from, to write to."""
    reading, writing = os.pipe()
    return stack.enter_context(FileIO(reading, "r")), stack.enter_context(FileIO(writing, "w"))
