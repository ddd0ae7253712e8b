"""The protocol between the converter and its reading process: JSON values and a tar stream, framed.

The converter pickles an ``Assignment`` into the child's standard input, and once it knows the guest an
``Order``. What comes back is never unpickled: a hostile disk may rule the child. A frame is its kind (one
byte), the length of its payload (32 bits, big-endian), and the payload.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import Final

from converters.disks.base import DiskSource
from converters.guest.facts import Directory
from converters.image.removals import Removal
from converters.request import Reading

HEADER: Final = struct.Struct(">cI")
FRAME_BYTES: Final = 1 << 20
"""Most bytes of a frame: also the largest pipe an unprivileged process may ask for (pipe(7))."""

INSPECTION: Final = b"I"
DATA: Final = b"D"
SUMMARY: Final = b"S"
ERROR: Final = b"E"


@dataclass(frozen=True, slots=True)
class Assignment:
    """What the child shall read, and how."""

    disks: tuple[DiskSource, ...]
    reading: Reading
    scratch: str
    """A folder of the child's own for recovery files."""


@dataclass(frozen=True, slots=True)
class Order:
    """How the tree shall be streamed."""

    directories: tuple[Directory, ...]
    """Made where the tree, once cleaned, has none; parents first."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What became of the tree, sent after its last byte."""

    entries: int
    removals: tuple[Removal, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """An error of the child, by its class's ``kind``."""

    kind: str
    message: str
    hint: str


class FrameWriter:
    """The child's end: gathers small writes of the tar stream into frames of at most 1 MiB."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._gathered = bytearray()

    def send(self, kind: bytes, payload: bytes) -> None:
        """One whole frame, after everything written so far."""
        self.flush()
        self._write(HEADER.pack(kind, len(payload)), payload)

    def write(self, data: bytes | memoryview) -> None:
        """The next bytes of the tar stream; sent or copied when this returns."""
        gathered = self._gathered
        if len(gathered) + len(data) < FRAME_BYTES:
            gathered += data
            return
        view, done = memoryview(data), 0
        while len(gathered) + len(data) - done >= FRAME_BYTES:
            end = done + FRAME_BYTES - len(gathered)
            self._write(HEADER.pack(DATA, FRAME_BYTES), gathered, view[done:end])
            gathered.clear()
            done = end
        gathered += view[done:]

    def flush(self) -> None:
        """Send what was gathered."""
        if self._gathered:
            self._write(HEADER.pack(DATA, len(self._gathered)), self._gathered)
            self._gathered.clear()

    def _write(self, *parts: bytes | bytearray | memoryview) -> None:
        written = os.writev(self._fd, parts)
        for part in parts:
            done = min(written, len(part))
            written -= done
            while done < len(part):
                with memoryview(part) as view:
                    done += os.write(self._fd, view[done:])
