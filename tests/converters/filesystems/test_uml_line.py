"""The serial line to a machine that a hostile file system may rule: whatever it does has an end."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from converters.filesystems.uml.line import Line, LineError, LineLimits
from converters.filesystems.uml.wire import LAST, LENGTH, MORE

LIMITS = LineLimits(frame_seconds=0.3, frame_bytes=1000, answer_bytes=2500)
Machine = Callable[[int, int], None]


@contextmanager
def line(machine: Machine, check: Callable[[], None] = lambda: None) -> Iterator[Line]:
    """A line whose other end is ``machine``, called with what it reads from and what it writes to."""
    with Line(check, LIMITS) as ours:
        reading, writing = map(os.dup, ours.theirs)
        ours.give_away()

        def run() -> None:
            try:
                machine(reading, writing)
            except BrokenPipeError:
                pass  # the other side wants no more
            finally:
                os.close(writing)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield ours
        finally:
            ours.__exit__()
            os.close(reading)
            thread.join()


def frame(kind: bytes, data: bytes) -> bytes:
    return LENGTH.pack(len(data) + 1) + kind + data


def dribble(_: int, writing: int) -> None:
    """A frame of which a byte comes now and then."""
    for byte in frame(LAST, bytes(900)):
        os.write(writing, bytes([byte]))
        time.sleep(0.05)


def flood(_: int, writing: int) -> None:
    """An answer without end."""
    while True:
        os.write(writing, frame(MORE, bytes(500)))


def listen(reading: int, _: int) -> None:
    """Never a word."""
    os.read(reading, 1)


def say(*frames: bytes) -> Machine:
    """A machine that says something and ends."""

    def machine(_: int, writing: int) -> None:
        os.write(writing, b"".join(frames))

    return machine


def test_a_request_and_its_answer() -> None:
    def echo(reading: int, writing: int) -> None:
        os.write(writing, frame(MORE, os.read(reading, 5)) + frame(LAST, b""))

    with line(echo) as ours:
        answer = ours.expect(5)
        ours.send(b"hello", answer)
        assert ours.receive(answer) == (MORE, b"hello")
        assert ours.receive(answer) == (LAST, b"")


@pytest.mark.parametrize(
    ("machine", "seconds", "words"),
    [
        (dribble, 20, "does not answer in time"),
        (listen, 0.2, "does not answer in time"),
        (flood, 20, "more than 2500 bytes"),
        (say(LENGTH.pack(1001)), 20, "answers with 1001 bytes"),
        (say(LENGTH.pack(0)), 20, "answers with 0 bytes"),
        (say(frame(LAST, b"abc")[:-1]), 20, "it ended"),
        (say(), 20, "it ended"),
    ],
)
def test_a_machine_that_does_as_it_likes(machine: Machine, seconds: float, words: str) -> None:
    begun = time.monotonic()
    with line(machine) as ours, pytest.raises(LineError, match=words):
        answer = ours.expect(seconds)
        while True:
            ours.receive(answer)
    assert time.monotonic() - begun < 5


def test_a_machine_that_does_not_listen() -> None:
    with line(lambda *_: time.sleep(0.5)) as ours, pytest.raises(LineError, match="in time"):
        ours.send(bytes(1 << 20), ours.expect(0.2))


def test_limits_are_looked_at_with_each_frame() -> None:
    class PastError(Exception):
        """A limit."""

    def check() -> None:
        raise PastError

    with line(flood, check) as ours, pytest.raises(PastError):
        ours.receive(ours.expect(5))
