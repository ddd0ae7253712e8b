"""Machines from their descriptors, read by a confined process: one for many, another when one was ended.

A descriptor that hangs, eats memory or kills its reader costs its own machine, and the next is read by a new
process.
"""

from __future__ import annotations

import logging
import os
import pickle
import select
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from converters.descriptors.answer import MOST_BYTES, decode
from converters.descriptors.child import LENGTH, Assignment
from converters.descriptors.found import FoundMachine, troubled
from converters.descriptors.package import Verification
from converters.errors import ConvertError, DefectError, LimitError, ReaderDiedError
from converters.process import MINIMAL_ENVIRONMENT, PIPE, ProcessError, Running, running
from converters.reader.confine import guard_secrets
from converters.reader.failures import printable

log = logging.getLogger(__name__)

CHILD = (sys.executable, "-I", "-m", "converters.descriptors.child")
"""The describing process; isolated from the environment and the current folder (python(1))."""
LONGEST_SECONDS = 60.0
"""For one descriptor and the headers of its disks: on slow storage some hundred reads, so seconds."""
MEMORY_BYTES = 512 << 20
"""Address space; the largest descriptors that are read, made to take much, need less than 160 MiB."""
_GRACE_SECONDS = 2.0
_DAMAGED = "copy the machine's files again, or move this one out of the folder"


class Describer:
    """Describes the machines below one folder. A context manager: leaving it ends the process."""

    def __init__(
        self,
        root: Path,
        verification: Verification,
        longest_seconds: float = LONGEST_SECONDS,
        memory_bytes: int = MEMORY_BYTES,
        command: Sequence[str] = CHILD,
    ) -> None:
        """``root`` is resolved; no file outside it is opened."""
        self._root = root
        self._assignment = Assignment(str(root), verification, memory_bytes)
        self._longest = longest_seconds
        self._command = command
        self._stack = ExitStack()
        self._child: Running | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def machines(self, path: Path) -> tuple[FoundMachine, ...]:
        """What ``found.machines_at`` gives for ``path``, below the root; trouble is told, not raised."""
        try:
            machines = decode(self._ask(path), path, self._root)
        except ConvertError as error:
            self._end()
            return (troubled(path, error),)
        if any(isinstance(machine.trouble, DefectError) for machine in machines):
            log.error("%s: %s", path, _last_words(self._running()))
        return machines

    def _running(self) -> Running:
        if self._child is None:
            guard_secrets()
            child = self._stack.enter_context(
                running(self._command, env=MINIMAL_ENVIRONMENT, stdin=PIPE, stdout=PIPE, patience=0)
            )
            self._child = child
            _tell(child, pickle.dumps(self._assignment))
        return self._child

    def _end(self) -> None:
        self._child = None
        self._stack.close()

    def _ask(self, path: Path) -> bytes:
        child = self._running()
        _tell(child, pickle.dumps(path))
        until = time.monotonic() + self._longest
        (length,) = LENGTH.unpack(self._exactly(child, LENGTH.size, until, path))
        if length > MOST_BYTES:
            raise ReaderDiedError(f"the process that read {path} sent {length:,} bytes", _DAMAGED)
        return self._exactly(child, length, until, path)

    def _exactly(self, child: Running, length: int, until: float, path: Path) -> bytes:
        parts = []
        pipe = child.process.stdout
        if pipe is None:
            raise ReaderDiedError("the describing process has no pipe to us")
        poll = select.poll()
        poll.register(pipe, select.POLLIN)
        while length:
            if not poll.poll(max(0.0, until - time.monotonic()) * 1000):
                raise LimitError(
                    f"{path} was read for {self._longest:g} seconds without an end, and was given up",
                    f"{_DAMAGED}; if all are as slow, see what its storage does",
                )
            part = os.read(pipe.fileno(), length)
            if not part:
                raise _died(child, path)
            length -= len(part)
            parts.append(part)
        return b"".join(parts)


def _tell(child: Running, words: bytes) -> None:
    """Requests are shorter than a pipe holds, so this does not wait."""
    try:
        if child.process.stdin is not None:
            os.write(child.process.stdin.fileno(), words)
    except BrokenPipeError:
        return  # it has ended, as the answer that is read next tells


def _died(child: Running, path: Path) -> ReaderDiedError:
    try:
        child.wait(_GRACE_SECONDS)
    except ProcessError:
        return ReaderDiedError(f"the process that read {path} closed its pipe", _DAMAGED)
    return ReaderDiedError(
        f"the process that read {path} died: {printable(child.failure().message)}", _DAMAGED
    )


def _last_words(child: Running) -> str:
    return "\n".join(map(printable, child.stderr().decode("utf-8", "backslashreplace").splitlines()))
