"""Frames: what is written arrives whole and in order, however it was cut."""

from __future__ import annotations

import os
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.reader.frames import DATA, FRAME_BYTES, HEADER, SUMMARY, FrameWriter

SIZES = st.one_of(
    st.integers(0, 5000), st.sampled_from([FRAME_BYTES - 1, FRAME_BYTES, FRAME_BYTES + 1, 3 << 20])
)


class Pipe:
    """A pipe whose other end is drained by a thread until the writer is closed."""

    def __init__(self) -> None:
        self._reader, self.writer = os.pipe()
        self._parts: list[bytes] = []
        self._thread = threading.Thread(target=self._drain)
        self._thread.start()

    def _drain(self) -> None:
        while part := os.read(self._reader, 70_000):
            self._parts.append(part)

    def frames(self) -> list[tuple[bytes, bytes]]:
        """Everything that was written, after its end."""
        os.close(self.writer)
        self._thread.join()
        os.close(self._reader)
        rest = b"".join(self._parts)
        found = []
        while rest:
            kind, length = HEADER.unpack_from(rest)
            found.append((kind, rest[HEADER.size : HEADER.size + length]))
            assert len(found[-1][1]) == length
            rest = rest[HEADER.size + length :]
        return found


@settings(deadline=None, max_examples=50)
@given(st.lists(SIZES, max_size=12))
def test_small_and_large_writes_become_frames_of_bounded_size(sizes: list[int]) -> None:
    pipe = Pipe()
    writer = FrameWriter(pipe.writer)
    pieces = [bytes([number % 251]) * size for number, size in enumerate(sizes, 1)]
    for piece in pieces:
        writer.write(memoryview(piece))
    writer.flush()
    frames = pipe.frames()
    assert b"".join(payload for _, payload in frames) == b"".join(pieces)
    assert all(kind == DATA and 0 < len(payload) <= FRAME_BYTES for kind, payload in frames)


def test_a_value_comes_after_what_was_written_before_it() -> None:
    pipe = Pipe()
    writer = FrameWriter(pipe.writer)
    writer.write(b"tree")
    writer.send(SUMMARY, b"{}")
    writer.send(SUMMARY, b"")
    assert pipe.frames() == [(DATA, b"tree"), (SUMMARY, b"{}"), (SUMMARY, b"")]


def test_more_pieces_than_one_call_takes() -> None:
    pipe = Pipe()
    writer = FrameWriter(pipe.writer)
    pieces = [b"%d," % number for number in range(5000)]
    for piece in pieces:
        writer.write(piece)
    writer.flush()
    assert b"".join(payload for _, payload in pipe.frames()) == b"".join(pieces)


def test_a_parent_that_has_gone_ends_the_writer() -> None:
    reader, end = os.pipe()
    os.close(reader)
    writer = FrameWriter(end)
    with pytest.raises(BrokenPipeError):
        writer.write(bytes(2 * FRAME_BYTES))
    os.close(end)
