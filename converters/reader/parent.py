"""The converter's side of the reading process: starts, watches and ends it, and checks what it says."""

from __future__ import annotations

import base64
import fcntl
import logging
import math
import os
import pickle
import select
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from signal import SIGKILL
from types import TracebackType
from typing import IO, TypeVar

from pydantic import TypeAdapter, ValidationError

from converters.disks.base import DiskSource
from converters.errors import ConvertError, DefectError, ReaderDiedError
from converters.guest.facts import Directory, Inspection
from converters.guest.secrets.values import HeldFile, SecretFile
from converters.process import MINIMAL_ENVIRONMENT, PIPE, ProcessError, Running, running
from converters.reader.confine import guard_secrets
from converters.reader.failures import error_of, printable
from converters.reader.frames import (
    ALIVE,
    DATA,
    ERROR,
    FRAME_BYTES,
    HEADER,
    INSPECTION,
    SECRETS,
    SOCKETS,
    SUMMARY,
    Assignment,
    Failure,
    HeldContents,
    Order,
    Summary,
)
from converters.reader.limits import Meter, Pulse, tree_limit
from converters.reading import Reading

log = logging.getLogger(__name__)

CHILD = (sys.executable, "-I", "-m", "converters.reader.child")
"""The reading process; isolated from the environment and the current folder (python(1))."""

_MOST_JSON_BYTES = 64 << 20
_MOST_FAILURE_BYTES = 64 << 10
_GRACE_SECONDS = 2.0
_LONGEST_SOCKETS = 64
"""Bytes of a folder's path: a socket's has 107 (unix(7)), and libguestfs makes a folder for it."""

Value = TypeVar("Value", Inspection, Summary, Failure)


class Reader:
    """A guest's disks, read by a child process: first ``inspect``, then at most once ``tar``.

    A context manager: leaving it ends the child, whatever state it is in.
    """

    def __init__(
        self,
        disks: Sequence[DiskSource],
        reading: Reading,
        scratch: Path,
        command: Sequence[str] = CHILD,
    ) -> None:
        self._assignment = Assignment(tuple(disks), reading, "")
        self._pulse = Pulse()
        self._meter = Meter(reading.tree_bytes or tree_limit(disks), reading.total_seconds)
        self._scratch = scratch
        self._command = command
        self._stack = ExitStack()
        self._child: Running | None = None
        self._summary: Summary | None = None
        self._secrets: tuple[SecretFile, ...] = ()

    def __enter__(self) -> Reader:
        with ExitStack() as stack:
            guard_secrets()
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="reader-", dir=self._scratch))
            sockets = folder
            if len(os.fsencode(folder)) > _LONGEST_SOCKETS:
                sockets = stack.enter_context(tempfile.TemporaryDirectory(prefix="reader-", dir="/tmp"))
            child = stack.enter_context(
                running(
                    self._command,
                    env={**MINIMAL_ENVIRONMENT, "TMPDIR": folder, SOCKETS: sockets},
                    stdin=PIPE,
                    stdout=PIPE,
                    patience=0,
                )
            )
            self._child = child
            _widen(self._stdout())
            os.set_blocking(self._stdin(), False)
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

    def tar(
        self,
        directories: tuple[Directory, ...] = (),
        measured: tuple[str, ...] = (),
        held: tuple[HeldFile, ...] = (),
    ) -> Iterator[bytes]:
        """The cleaned tree, with ``directories`` where it has none, as tar in pieces of at most 1 MiB.

        Args:
            measured: directories whose content is added up for the summary; none within another.
            held: files that are not in it; what they hold is in ``secrets``.

        Raises:
            ConvertError: what the child reported, ``ReaderDiedError``, or ``LimitError``: it is endless.
        """
        self._ask(pickle.dumps(Order(directories, measured, held)))
        while True:
            kind, length = self._header()
            if kind == SUMMARY:
                self._summary = self._value(Summary, length)
                return
            if kind == SECRETS and held:
                self._secrets = self._held(length, held)
                continue
            if kind != DATA or length > FRAME_BYTES:
                raise self._unexpected(kind)
            self._meter.take(length)
            while length:
                piece = self._read(length)
                length -= len(piece)
                yield piece

    @property
    def secrets(self) -> tuple[SecretFile, ...]:
        """What the files hold that ``tar`` was told to leave out."""
        return self._secrets

    def _held(self, length: int, held: tuple[HeldFile, ...]) -> tuple[SecretFile, ...]:
        """
        Raises:
            ReaderDiedError: these are not the files that were asked for; the error shows nothing of them.
        """
        if length > _MOST_JSON_BYTES:
            raise ReaderDiedError(f"the reading process sent secrets of {length} bytes")
        try:
            given = TypeAdapter(HeldContents).validate_json(self._exactly(length)).files
            found = tuple(SecretFile(one.name, base64.b64decode(one.content, validate=True)) for one in given)
        except ValueError:
            raise ReaderDiedError("the reading process sent secrets that cannot be understood") from None
        if [one.name for one in found] != [one.name for one in held]:
            raise ReaderDiedError("the reading process sent other secrets than it was asked for")
        return found

    @property
    def summary(self) -> Summary:
        """What became of the tree; known once ``tar`` has given its last byte."""
        if self._summary is None:
            raise ReaderDiedError("the guest's tree was not read to its end")
        return self._summary

    def _ask(self, words: bytes) -> None:
        """Write to the child, which may not listen: what it is asked can be longer than its pipe holds."""
        descriptor, rest = self._stdin(), memoryview(words)
        try:
            while rest:
                self._await(descriptor, select.POLLOUT)
                rest = rest[os.write(descriptor, rest) :]
        except BrokenPipeError:
            return  # it has ended: what it said before that is read next, or else that it said nothing

    def _header(self) -> tuple[bytes, int]:
        """Kind and length of the next frame that says something."""
        kind, length = HEADER.unpack(self._exactly(HEADER.size))
        while (kind, length) == (ALIVE, 0):
            self._pulse.beat()
            kind, length = HEADER.unpack(self._exactly(HEADER.size))
        if kind == ERROR:
            raise self._failed(self._value(Failure, length, _MOST_FAILURE_BYTES))
        return kind, length

    def _value(self, wanted: type[Value], length: int, most: int = _MOST_JSON_BYTES) -> Value:
        if length > most:
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
        descriptor = self._stdout()
        self._await(descriptor, select.POLLIN)
        data = os.read(descriptor, length)
        if not data:
            raise self._died()
        return data

    def _await(self, descriptor: int, event: int) -> None:
        stall = self._assignment.reading.stall_seconds
        poll = select.poll()
        poll.register(descriptor, event)
        begun = time.monotonic()
        ready = poll.poll(math.ceil(min(stall, self._meter.patience) * 1000))
        self._meter.wait(time.monotonic() - begun)
        if not ready:
            raise ReaderDiedError(
                f"the reading process gave no sign of life for {stall:g} seconds and was ended",
                "raise --reader-stall if the disk is known to be this slow",
            )

    def _running(self) -> Running:
        if self._child is None:
            raise ReaderDiedError("the reading process was not started")
        return self._child

    def _stdin(self) -> int:
        return _descriptor(self._running().process.stdin)

    def _stdout(self) -> int:
        return _descriptor(self._running().process.stdout)

    def _failed(self, failure: Failure) -> ConvertError:
        """The error that the child reported; of a defect, the log has the trace."""
        error = error_of(failure)
        if isinstance(error, DefectError):
            said = self._running().stderr().decode("utf-8", "backslashreplace")
            log.error("the reading process: %s", "\n".join(map(printable, said.splitlines())))
        return error

    def _died(self) -> ConvertError:
        """The error of a child that ended without a word: killed, which may pass, or by its own doing."""
        child = self._running()
        try:
            status = child.wait(_GRACE_SECONDS)
        except ProcessError:
            return ReaderDiedError("the reading process closed its pipe and did not end")
        if status >= 0:
            return DefectError(f"the reading process gave up: {printable(child.failure().message)}")
        hint = "the machine may have run out of memory: run fewer slots on it" if status == -SIGKILL else ""
        return ReaderDiedError(f"the reading process died: {printable(child.failure().message)}", hint)

    def _unexpected(self, kind: bytes) -> ReaderDiedError:
        return ReaderDiedError(f"the reading process sent an unexpected frame of kind {kind!r}")


def _descriptor(pipe: IO[bytes] | None) -> int:
    if pipe is None:
        raise ReaderDiedError("the reading process has no pipe to us")
    return pipe.fileno()


def _widen(descriptor: int) -> None:
    """Ask for the largest pipe; a smaller one is slower and right all the same."""
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, FRAME_BYTES)
    except OSError:
        return
