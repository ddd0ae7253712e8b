"""The describing process: reads VMX, OVF and OVA files and the headers of disk images, one request at a time.

These are untrusted, so it has no network, no credentials, and of files the source folder and its own program.
"""

from __future__ import annotations

import os
import pickle
import struct
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from converters.descriptors.answer import MOST_BYTES, encode
from converters.descriptors.found import FoundMachine, machines_at, troubled
from converters.descriptors.package import Verification
from converters.errors import ConvertError, LimitError
from converters.reader import reach
from converters.reader.confine import confine

LENGTH = struct.Struct(">I")
"""Of an answer, before it."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """Where the descriptors lie, and how they are read."""

    root: str
    """Folder, resolved, outside which no file is opened."""
    verification: Verification
    memory_bytes: int
    """Address space."""


def main() -> int:
    """Answer a parent's requests over standard input and output until it closes them; the exit status."""
    channel = os.dup(1)
    os.dup2(2, 1)  # what a library prints must not land between answers
    # What is unpickled comes from the parent, which is trusted.
    assignment: Assignment = pickle.load(sys.stdin.buffer)
    refused: ConvertError | None = None
    try:
        confine(assignment.memory_bytes, reach.rules_of_descriptors(assignment.root))
    except ConvertError as error:
        refused = error
    with open(channel, "wb") as output:
        while True:
            try:
                path: Path = pickle.load(sys.stdin.buffer)
            except EOFError:
                return 0
            answer = (
                _answer(path, assignment)
                if refused is None
                else _encoded([troubled(path, refused)], path, assignment)
            )
            output.write(LENGTH.pack(len(answer)) + answer)
            output.flush()


def _answer(path: Path, assignment: Assignment) -> bytes:
    return _encoded(machines_at(path, Path(assignment.root), assignment.verification), path, assignment)


def _encoded(machines: Iterable[FoundMachine], path: Path, assignment: Assignment) -> bytes:
    """The answer, or that it would be too long."""
    try:
        answer = encode(machines, assignment.memory_bytes)
    except MemoryError:
        answer = b""
    if 0 < len(answer) <= MOST_BYTES:
        return answer
    error = LimitError(f"{path} describes more than can be told of a machine", "is it what its name says?")
    return encode([troubled(path, error)], assignment.memory_bytes)


if __name__ == "__main__":
    sys.exit(main())
