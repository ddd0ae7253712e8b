"""The converter's side of the reading process: starts, watches and ends it, and checks what it says."""

from __future__ import annotations

import fcntl
import os
import pickle
import select
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, TypeVar

from pydantic import TypeAdapter, ValidationError

from converters.disks.base import DiskSource
from converters.errors import ConvertError, ReaderDiedError
from converters.guest.facts import Directory, Inspection
from converters.process import MINIMAL_ENVIRONMENT, Running, running
from converters.reader.frames import (
    DATA,
    ERROR,
    FRAME_BYTES,
    HEADER,
    INSPECTION,
    SUMMARY,
    Assignment,
    Failure,
    Order,
    Summary,
)
from converters.request import Reading

_MOST_JSON_BYTES = 64 << 20

Value = TypeVar("Value", Inspection, Summary, Failure)


class Reader:
    """A guest's disks, read by a child process: first ``inspect``, then at most once ``tar``.

    A context manager: leaving it ends the child, whatever state it is in.
    """

    def __init__(self, disks: Sequence[DiskSource], reading: Reading, scratch: Path) -> None:
        self._assignment = Assignment(tuple(disks), reading, "")
        self._scratch = scratch
        self._stack = ExitStack()
        self._child: Running | None = None
        self._summary: Summary | None = None

    def __enter__(self) -> Reader:
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="reader-", dir=self._scratch))
            child = stack.enter_context(
                running(
                    [sys.executable, "-I", "-m", "converters.reader.child"],
                    env={**MINIMAL_ENVIRONMENT, "TMPDIR": folder},
                    stdin=-1,
                    stdout=-1,
                )
            )
            self._child = child
            _widen(self._pipe().fileno())
            assignment = Assignment(self._assignment.disks, self._assignment.reading, folder)
            self._ask(pickle.dumps(assignment))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def inspect(self) -> Inspection:
        """What the guest is.

        Raises:
            ConvertError: what the child reported, or ``ReaderDiedError``.
        """
        kind, length = self._header()
        if kind != INSPECTION:
            raise self._unexpected(kind)
        return self._value(Inspection, length)

    def tar(self, directories: tuple[Directory, ...] = ()) -> Iterator[bytes]:
        """The cleaned tree, with ``directories`` where it has none, as tar in pieces of at most 1 MiB."""
        self._ask(pickle.dumps(Order(directories)))
        while True:
            kind, length = self._header()
            if kind == SUMMARY:
                self._summary = self._value(Summary, length)
                return
            if kind != DATA or length > FRAME_BYTES:
                raise self._unexpected(kind)
            while length:
                piece = self._read(length)
                length -= len(piece)
                yield piece

    @property
    def summary(self) -> Summary:
        """What became of the tree; known once ``tar`` has given its last byte."""
        if self._summary is None:
            raise ReaderDiedError("the guest's tree was not read to its end")
        return self._summary

    def _ask(self, words: bytes) -> None:
        stdin = self._running().process.stdin
        try:
            if stdin is None:
                raise BrokenPipeError
            stdin.write(words)
            stdin.flush()
        except BrokenPipeError:
            raise self._died() from None

    def _header(self) -> tuple[bytes, int]:
        header = self._exactly(HEADER.size)
        kind, length = HEADER.unpack(header)
        if kind == ERROR:
            raise _error(self._value(Failure, length))
        return kind, length

    def _value(self, wanted: type[Value], length: int) -> Value:
        if length > _MOST_JSON_BYTES:
            raise ReaderDiedError(f"the reading process sent a description of {length} bytes")
        try:
            return TypeAdapter(wanted).validate_json(self._exactly(length))
        except ValidationError as error:
            raise ReaderDiedError(f"the reading process sent what cannot be understood: {error}") from error

    def _exactly(self, length: int) -> bytes:
        parts = []
        while length:
            part = self._read(length)
            parts.append(part)
            length -= len(part)
        return b"".join(parts)

    def _read(self, length: int) -> bytes:
        """Up to ``length`` bytes, at least one."""
        descriptor = self._pipe().fileno()
        stall = self._assignment.reading.stall_seconds
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        if not poll.poll(stall * 1000):
            raise ReaderDiedError(
                f"the reading process gave no sign of life for {stall:g} seconds and was ended",
                "raise --reader-stall if the disk is known to be this slow",
            )
        data = os.read(descriptor, length)
        if not data:
            raise self._died()
        return data

    def _running(self) -> Running:
        if self._child is None:
            raise ReaderDiedError("the reading process was not started")
        return self._child

    def _pipe(self) -> IO[bytes]:
        stdout = self._running().process.stdout
        if stdout is None:
            raise ReaderDiedError("the reading process has no output")
        return stdout

    def _died(self) -> ReaderDiedError:
        child = self._running()
        child.wait(10)
        return ReaderDiedError(f"the reading process died: {child.failure().message}")

    def _unexpected(self, kind: bytes) -> ReaderDiedError:
        return ReaderDiedError(f"the reading process sent an unexpected frame of kind {kind!r}")


def _error(failure: Failure) -> ConvertError:
    """The child's error, as the class it had there."""
    classes = [ConvertError]
    for known in classes:
        classes.extend(known.__subclasses__())
    for known in classes:
        if known.kind == failure.kind:
            return known(failure.message, failure.hint)
    return ReaderDiedError(failure.message, failure.hint)


def _widen(descriptor: int) -> None:
    """Ask for the largest pipe; a smaller one is slower and right all the same."""
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, FRAME_BYTES)
    except OSError:
        return
