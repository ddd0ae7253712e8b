"""The protocol between the converter and its reading process: JSON values and a tar stream, framed.

The converter pickles an ``Assignment`` into the child's standard input, and once it knows the guest an
``Order``. What comes back is never unpickled: a hostile disk may rule the child. A frame is its kind (one
byte), the length of its payload (32 bits, big-endian), and the payload. An empty frame may stand between any
two others: a sign of life, which the child sends as long as its work advances (``converters.headway``).
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, field
from typing import Final

from converters.disks.base import DiskSource
from converters.guest.facts import Directory
from converters.guest.secrets.values import HeldFile
from converters.image.removals import Removal
from converters.reading import Reading

HEADER: Final = struct.Struct(">cI")
FRAME_BYTES: Final = 1 << 20
"""Most bytes of a frame: also the largest pipe an unprivileged process may ask for (pipe(7))."""

_MOST_PIECES: Final = 1000
"""Pieces of a frame: with its header, less than writev(2) takes (IOV_MAX)."""

INSPECTION: Final = b"I"
DATA: Final = b"D"
SUMMARY: Final = b"S"
ERROR: Final = b"E"
SECRETS: Final = b"X"
ALIVE: Final = b"A"


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
    measured: tuple[str, ...] = ()
    """Directories whose content is to be added up; none within another."""
    held: tuple[HeldFile, ...] = ()
    """Left out of the stream, and sent apart before it."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What became of the tree, sent after its last byte."""

    entries: int
    removals: tuple[Removal, ...]
    sizes: tuple[int, ...] = ()
    """Bytes of files below each directory that was to be measured, in their order."""


@dataclass(frozen=True, slots=True)
class HeldContent:
    """What a file holds that is moved out of the image."""

    name: str
    content: str = field(repr=False)
    """In base64."""


@dataclass(frozen=True, slots=True)
class HeldContents:
    """All of them, sent before the stream when any was ordered."""

    files: tuple[HeldContent, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """An error of the child, by its class's ``kind``."""

    kind: str
    message: str
    hint: str


SOCKETS = "XDG_RUNTIME_DIR"
"""Variable that names the folder where the child's helpers, such as libguestfs, have their sockets."""


class FrameWriter:
    """The child's end: gathers pieces of the tar stream, without copying them, into frames of 1 MiB."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._pieces: list[bytes | memoryview] = []
        self._size = 0

    def send(self, kind: bytes, payload: bytes) -> None:
        """One whole frame, after everything written so far."""
        self.flush()
        self._write([HEADER.pack(kind, len(payload)), payload])

    def sign_of_life(self) -> None:
        """An empty frame, ahead of what was gathered."""
        self._write([HEADER.pack(ALIVE, 0)])

    def write(self, piece: bytes | memoryview) -> None:
        """The next bytes of the tar stream; they must stay as they are, for they are sent later."""
        size = self._size + len(piece)
        while size >= FRAME_BYTES:
            view = memoryview(piece)
            room = FRAME_BYTES - self._size
            self._pieces.append(view[:room])
            self._size = FRAME_BYTES
            self.flush()
            piece = view[room:]
            size = len(piece)
        if size > self._size:
            self._pieces.append(piece)
            self._size = size
            if len(self._pieces) == _MOST_PIECES:
                self.flush()

    def flush(self) -> None:
        """Send what was gathered."""
        if self._size:
            self._write([HEADER.pack(DATA, self._size), *self._pieces])
            self._pieces.clear()
            self._size = 0

    def _write(self, pieces: list[bytes | memoryview]) -> None:
        written = os.writev(self._fd, pieces)
        for piece in pieces:
            if written >= len(piece):
                written -= len(piece)
                continue
            with memoryview(piece) as view:
                while written < len(view):
                    written += os.write(self._fd, view[written:])
            written = 0
